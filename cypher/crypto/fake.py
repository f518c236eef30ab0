"""Records of OPAQUE for names that nobody has: of the same shape as real ones, and the same at every asking."""

import hmac

PUBLIC_KEY = 32
ENVELOPE = 96


def fake_record(fake_key: bytes, username: str, public_key: bytes) -> tuple[bytes, bytes]:
    """Return a record (192 bytes) and a credential identifier (16 bytes) for an unknown name (RFC 9807, 10.9).

    `public_key` must be a valid element (32 bytes): that of the FIRST setup, so that a new setup does not tell
    unknown names from known ones. Nobody knows a password for the record, for nobody knows its private key.
    """
    if len(public_key) != PUBLIC_KEY:
        raise ValueError("a public key of OPAQUE has 32 bytes")
    name = username.encode()
    masking_key = hmac.digest(fake_key, b"mask\x00" + name, "sha512")
    credential_id = hmac.digest(fake_key, b"id\x00" + name, "sha256")[:16]
    return public_key + masking_key + bytes(ENVELOPE), credential_id
