"""Begins a new epoch in a key store, by which everything that Redis holds under the old one is out of reach."""

from dataclasses import replace

from cypher.crypto.checks import require_there
from cypher.crypto.keyring import KeyRing
from cypher.crypto.keystore import KeyStore
from cypher.crypto.making import new_epoch
from cypher.errors import KeyStoreRefused


def begin_epoch(store: KeyStore, ring: KeyRing) -> None:
    """Write a new epoch to the store that `ring` was opened from. Whoever has it open, `ring` too, must open it anew.

    Raises KeyStoreRefused, and has written nothing, when another process has written the store meanwhile.
    """
    with store.lock():
        before = require_there(store, store.read())
        if before != ring.stored:
            raise KeyStoreRefused(
                f"Another process has just written the key store at {store.describe()}. Stop every instance of the "
                "service and try again. Nothing was changed."
            )
        store.write(replace(before, epoch=new_epoch(), generation=before.generation + 1))
