"""Recovery codes: ten values of 128 random bits for the day the telephone is lost. Shown once, stored as hashes."""

import hashlib
import re

from cypher.clock import new_bytes

COUNT = 10
CODE_BYTES = 16
GROUP = 4
#: With or without the hyphens, in either case; nothing else that may look like a digit.
FORM = re.compile(r"[0-9a-f]{4}(?:-?[0-9a-f]{4}){7}", re.ASCII | re.IGNORECASE)


def new_codes() -> list[bytes]:
    """Draw ten codes of 16 bytes."""
    return [new_bytes(CODE_BYTES) for _ in range(COUNT)]


def write(code: bytes) -> str:
    """Write a code for its owner: 32 hexadecimal digits in groups of four."""
    digits = code.hex()
    return "-".join(digits[at : at + GROUP] for at in range(0, len(digits), GROUP))


def read(text: str) -> bytes | None:
    """Return the 16 bytes of a code, the same for each way to write it; None for what is none."""
    return bytes.fromhex(text.replace("-", "")) if FORM.fullmatch(text) else None


def hash_code(code: bytes) -> bytes:
    """Return the 32 bytes under which a code is stored; 128 random bits need no salt and no stretching."""
    return hashlib.sha256(code).digest()
