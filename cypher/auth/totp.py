"""Time-based codes (RFC 6238): SHA-1, six digits, a new one every 30 seconds. The only module here with pyotp.

It knows nothing of which codes were used: that is one statement's in the database.
"""

import base64
import io
import re
from datetime import datetime
from urllib.parse import urlsplit

import pyotp
import segno

from cypher.clock import new_bytes

#: RFC 4226, section 4, R6: 128 bits at least, 160 recommended.
SECRET_BYTES = 20
STEP_SECONDS = 30
#: Steps before and after the present one (RFC 6238, section 5.2): a code that travels slowly, a telephone's clock that
#: is off. Each one more gives a guess one more code to meet.
WINDOW = 1
#: pyotp compares after NFKC, and would also take full-width digits.
CODE = re.compile(r"[0-9]{6}", re.ASCII)


def new_secret() -> bytes:
    """Draw a secret (20 bytes)."""
    return new_bytes(SECRET_BYTES)


def base32(secret: bytes) -> str:
    """Write a secret as people type it (RFC 4648, section 6): 32 characters."""
    return base64.b32encode(secret).decode()


def newest_step(now: datetime) -> int:
    """Return the last step whose code is taken at this moment."""
    return int(now.timestamp()) // STEP_SECONDS + WINDOW


def step_of(secret: bytes, code: str, now: datetime) -> int | None:
    """Return the step that a code belongs to, counted from 1970, or None for a code that is wrong now.

    By chance two steps can have one code. The later one counts: to use it up uses up the earlier one as well.
    """
    if not CODE.fullmatch(code):
        return None
    newest = newest_step(now)
    totp = pyotp.TOTP(base32(secret), interval=STEP_SECONDS)
    for step in range(newest, newest - 2 * WINDOW - 1, -1):
        if totp.verify(code, for_time=step * STEP_SECONDS):
            return step
    return None


def issuer_of(origin: str) -> str:
    """Return what apps show as the service's name: the host of its origin. A colon would end it too early."""
    return (urlsplit(origin).hostname or "").replace(":", ".")


def otpauth_uri(secret: bytes, username: str, issuer: str) -> str:
    """Return what an authenticator app reads (Key Uri Format); `issuer` may hold no colon."""
    return pyotp.TOTP(base32(secret)).provisioning_uri(name=username, issuer_name=issuer)


def qr_svg(uri: str) -> str:
    """Draw a URI as a QR code, dark on white: an SVG that stands by itself. Takes up to 50 ms."""
    out = io.BytesIO()
    segno.make_qr(uri, error="m").save(out, kind="svg", xmldecl=False, nl=False, light="white", scale=4)
    return out.getvalue().decode()
