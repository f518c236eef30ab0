"""What must hold of a ring that was read from a store, said to the operator where it does not."""

from cypher.crypto.keystore import KeyStore, StoredRing
from cypher.crypto.view import RingView
from cypher.crypto.wrapping import KeyEncryptionKey
from cypher.errors import KeyStoreRefused


def require_whole(store: KeyStore, view: RingView) -> None:
    """Refuse a ring of which a key does not unwrap."""
    damaged = view.first_damaged()
    if damaged is not None:
        raise KeyStoreRefused(
            f"The key {damaged.id} in the key store at {store.describe()} is damaged. Bring the store back from its "
            "backup. Nothing was changed."
        )


def require_later_state(store: KeyStore, kek: KeyEncryptionKey, ours: StoredRing, found: StoredRing) -> None:
    """Refuse what is not the ring `ours` or a later state of it, under the same password."""
    where = store.describe()
    if (found.store_id, found.epoch) != (ours.store_id, ours.epoch) or found.generation < ours.generation:
        raise KeyStoreRefused(
            f"The key store at {where} is another or an older one than at the start. Bring the newest one back, "
            "or start Cypher anew. Nothing was changed."
        )
    if not kek.opens(found.check, found.store_id):
        raise KeyStoreRefused(
            f"The master password of the key store at {where} was changed. Start Cypher anew with the new one. "
            "Nothing was changed."
        )


def require_there(store: KeyStore, found: StoredRing | None) -> StoredRing:
    """Refuse a store that was there and is not any more."""
    if found is None:
        raise KeyStoreRefused(
            f"There is no key store at {store.describe()} any more. If it was moved, start Cypher anew with "
            "KEY_STORE and KEY_STORE_PATH set to where it is; else bring it back from its backup."
        )
    return found
