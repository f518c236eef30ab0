"""HTTP: bytes in, one use case, bytes out. Holds no decision about who may log in."""
