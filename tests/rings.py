"""What a key ring is after it was cut off in a change: opened with one password or the other, and compared."""

from cypher.clock import Clock
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.keystore import KeyStore
from cypher.errors import KeyStoreRefused


def opened(store: KeyStore, password: str, new_password: str, clock: Clock) -> KeyRing:
    """Open a ring with the password from before or with the new one."""
    try:
        return KeyRing.open(store, password, clock)
    except KeyStoreRefused:
        return KeyRing.open(store, new_password, clock)


def secrets_of(ring: KeyRing) -> dict[str, bytes]:
    return {key.id: key.secret for purpose in Purpose for key in ring.live(purpose)}
