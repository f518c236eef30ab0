"""Until when certificates hold, of files that were configured. Nothing is verified here: that is what TLS does."""

from datetime import datetime
from pathlib import Path

from cryptography import x509


def ends_of(file: Path) -> list[datetime]:
    """Return until when each certificate of a PEM file holds; raises OSError, and ValueError where there is none."""
    return [certificate.not_valid_after_utc for certificate in x509.load_pem_x509_certificates(file.read_bytes())]
