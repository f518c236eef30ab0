"""Until when certificates hold, of files that were configured. Nothing is verified here: that is what TLS does."""

import warnings
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning


def ends_of(file: Path) -> list[datetime]:
    """Return until when each certificate of a PEM file holds; raises OSError, and ValueError where there is none."""
    with warnings.catch_warnings():
        # The system's bundle has certificates of another century's form.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        found = x509.load_pem_x509_certificates(file.read_bytes())
        return [certificate.not_valid_after_utc for certificate in found]
