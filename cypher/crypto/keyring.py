"""The keys of one deployment, unwrapped on first use, held in memory only.

The ring follows its store: what another process writes is taken over, unless it is not this ring any more.
"""

import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from uuid import UUID

from cypher.clock import Clock
from cypher.crypto.keys import LIVE, Algorithm, Key, KeyInfo, Purpose, State, UnknownKey
from cypher.crypto.keystore import KeyStore, StoredKey, StoredRing
from cypher.crypto.making import make_key, make_ring, new_kdf
from cypher.crypto.wrapping import KeyEncryptionKey
from cypher.errors import KeyStoreRefused, KeysUnavailable

__all__ = ["Algorithm", "Key", "KeyInfo", "KeyRing", "Purpose", "State", "UnknownKey"]

logger = logging.getLogger("cypher.crypto")

#: What is sealed after this time without a look at the store might be sealed under a key that is being destroyed.
CONFIRMED_SECONDS = 30.0
#: A store that cannot be read is not read again for every unknown key id that a stranger sends.
RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _View:
    """One state of the store, replaced as a whole, so that threads need no lock to read it."""

    stored: StoredRing
    stamp: Hashable
    by_id: dict[str, StoredKey] = field(repr=False)
    active: dict[Purpose, str]
    opened: dict[str, Key] = field(default_factory=dict, repr=False)


class KeyRing:
    """All keys by purpose and by id. May be used from several threads."""

    def __init__(
        self, store: KeyStore, kek: KeyEncryptionKey, clock: Clock, stored: StoredRing, stamp: Hashable
    ) -> None:
        """Take over what `open` and `create` have read; call those."""
        self._store = store
        self._kek = kek
        self._clock = clock
        self._adopting = threading.Lock()
        self._view = _view(stored, stamp)
        self._problem: str | None = None
        self._looked_at = self._confirmed_at = clock.monotonic()

    def __repr__(self) -> str:
        return f"KeyRing({self._store.describe()}, generation {self.generation})"

    @classmethod
    def open(cls, store: KeyStore, master_password: str, clock: Clock) -> "KeyRing":
        """Open the ring that the store holds. Takes about 0.2 s: run it off the loop.

        Raises KeyStoreRefused, and has written nothing, when there is none, when it is damaged, and when the
        password is not its own.
        """
        stamp = store.stamp()
        stored = store.read()
        if stored is None:
            raise KeyStoreRefused(f"There is no key store at {store.describe()}. Nothing was changed.")
        kek = KeyEncryptionKey.from_password(master_password, stored.kdf)
        if not kek.opens(stored.check, stored.store_id):
            raise KeyStoreRefused(
                f"The master password does not open the key store at {store.describe()}. Set "
                "MASTER_ENCRYPTION_PASSWORD to the one that it was made with. Nothing was changed."
            )
        _require_whole(store, stored, kek)
        return cls(store, kek, clock, stored, stamp)

    @classmethod
    def create(
        cls,
        store: KeyStore,
        master_password: str,
        clock: Clock,
        *,
        opaque_setup: bytes,
        rounds: int = 600_000,
        data_algorithm: Algorithm = Algorithm.FERNET,
    ) -> "KeyRing":
        """Make a ring with one active key of every purpose; open the one that is there if another was faster.

        `opaque_setup` has 128 bytes; the keys that seal have `data_algorithm`. Takes about 0.2 s: run it off the
        loop. It must only be called for a database that holds nothing sealed.
        """
        kdf = new_kdf(rounds)
        kek = KeyEncryptionKey.from_password(master_password, kdf)
        made = make_ring(kek, kdf, clock, opaque_setup=opaque_setup, data_algorithm=data_algorithm)
        store.prepare()
        with store.lock():
            if store.read() is None:
                store.write(made)
            stamp, stored = store.stamp(), store.read()
        if stored != made:
            return cls.open(store, master_password, clock)
        return cls(store, kek, clock, made, stamp)

    @property
    def store_id(self) -> UUID:
        """The store's id, by which a database knows its own."""
        return self._view.stored.store_id

    @property
    def generation(self) -> int:
        """How often the store has been written; it never goes back."""
        return self._view.stored.generation

    @property
    def epoch(self) -> str:
        """The deployment's epoch, part of every name in Redis."""
        return self._view.stored.epoch

    @property
    def healthy(self) -> bool:
        """Whether the last look at the store found this ring in it."""
        return self._problem is None

    def primary(self, purpose: Purpose) -> Key:
        """Return the active key of a purpose; raise KeyStoreRefused when there is none."""
        view = self._view
        key_id = view.active.get(purpose)
        if key_id is None:
            raise KeyStoreRefused(f"The key store at {self._store.describe()} has no active key for {purpose}.")
        return self._unwrapped(view, key_id)

    def sealing(self, purpose: Purpose) -> Key:
        """Return the active key of a purpose of a ring that was confirmed in the last 30 s.

        Raises KeysUnavailable when it cannot be: an old ring's key may be on its way to be destroyed, and what
        is sealed under it would be lost.
        """
        if self._clock.monotonic() - self._confirmed_at > CONFIRMED_SECONDS:
            self._look_again()
            if self._clock.monotonic() - self._confirmed_at > CONFIRMED_SECONDS:
                raise KeysUnavailable
        return self.primary(purpose)

    def key(self, key_id: str) -> Key:
        """Return the live key of an id, also one that another process has made a moment ago; else UnknownKey."""
        key = self._find(key_id)
        if key is None and self._look_again():
            key = self._find(key_id)
        if key is None:
            raise UnknownKey("no key of this id")
        return key

    def live(self, purpose: Purpose) -> tuple[Key, ...]:
        """Return every key of a purpose that can still be met: the active one, then the others, newest first."""
        view = self._view
        keys = [self._unwrapped(view, stored.id) for stored in _live(view.stored, purpose)]
        return tuple(sorted(reversed(keys), key=lambda key: key.state is not State.ACTIVE))

    def first(self, purpose: Purpose) -> Key:
        """Return the oldest live key of a purpose; raise KeyStoreRefused when there is none."""
        view = self._view
        oldest = next(iter(_live(view.stored, purpose)), None)
        if oldest is None:
            raise KeyStoreRefused(f"The key store at {self._store.describe()} has no key for {purpose}.")
        return self._unwrapped(view, oldest.id)

    def get_key_info(self) -> tuple[KeyInfo, ...]:
        """Return all that may be shown of every key, destroyed ones as well."""
        return tuple(
            KeyInfo(
                id=key.id,
                purpose=key.purpose,
                algorithm=key.algorithm,
                state=key.state,
                created_at=key.created_at,
                activated_at=key.activated_at,
            )
            for key in self._view.stored.keys
        )

    def reload(self) -> bool:
        """Look at the store and take over what is new; tell whether anything was.

        Costs one `stat` when nothing was written. A store that cannot be read, is older, or does not open with
        the password of this process any more leaves the keys as they are and turns `healthy` off.
        """
        with self._adopting:
            self._looked_at = self._clock.monotonic()
            try:
                changed = self._follow()
            except KeyStoreRefused as refusal:
                self._report(str(refusal))
                return False
            self._report(None)
            self._confirmed_at = self._looked_at
            return changed

    def change(self, edit: Callable[[StoredRing], StoredRing]) -> None:
        """Write the store, which nothing else does: lock it, read it anew, edit, count one generation on.

        An edit that returns its argument writes nothing. Raises KeyStoreRefused, and has written nothing, when
        the store does not open with the password of this process any more or is not the ring it was.
        """
        with self._store.lock():
            before = self._confirmed(self._store.read())
            after = edit(before)
            if after is not before:
                self._store.write(replace(after, generation=before.generation + 1))
        self.reload()

    def new_key(self, purpose: Purpose, algorithm: Algorithm) -> StoredKey:
        """Make an active key from 32 random bytes and wrap it, for an `edit` to add."""
        return make_key(self._kek, self._clock.now(), purpose, algorithm)

    def _find(self, key_id: str) -> Key | None:
        view = self._view
        key = view.opened.get(key_id)
        if key is not None:
            return key
        stored = view.by_id.get(key_id)
        return self._unwrapped(view, key_id) if stored and stored.state in LIVE else None

    def _unwrapped(self, view: _View, key_id: str) -> Key:
        key = view.opened.get(key_id)
        if key is None:
            stored = view.by_id[key_id]
            key = view.opened[key_id] = Key(
                id=stored.id,
                purpose=stored.purpose,
                algorithm=stored.algorithm,
                state=stored.state,
                created_at=stored.created_at,
                activated_at=stored.activated_at,
                secret=self._kek.unwrap(stored.purpose, stored.id, stored.wrapped),
            )
        return key

    def _look_again(self) -> bool:
        if not self.healthy and self._clock.monotonic() - self._looked_at < RETRY_SECONDS:
            return False
        return self.reload()

    def _follow(self) -> bool:
        # The stamp first: what is written between the two is met again at the next look.
        stamp = self._store.stamp()
        view = self._view
        if stamp == view.stamp:
            return False
        stored = self._confirmed(self._store.read())
        self._view = _view(stored, stamp)
        return stored.generation != view.stored.generation

    def _confirmed(self, stored: StoredRing | None) -> StoredRing:
        """Return what was read if it is this ring or a later state of it."""
        where, ours = self._store.describe(), self._view.stored
        if stored is None:
            raise KeyStoreRefused(f"There is no key store at {where} any more. Bring it back from its backup.")
        if (stored.store_id, stored.epoch) != (ours.store_id, ours.epoch) or stored.generation < ours.generation:
            raise KeyStoreRefused(
                f"The key store at {where} is another or an older one than at the start. Bring the newest one back, "
                "or start Cypher anew. Nothing was changed."
            )
        if not self._kek.opens(stored.check, stored.store_id):
            raise KeyStoreRefused(
                f"The master password of the key store at {where} was changed. Start Cypher anew with the new one. "
                "Nothing was changed."
            )
        _require_whole(self._store, stored, self._kek)
        return stored

    def _report(self, problem: str | None) -> None:
        if problem != self._problem:
            logger.error("%s", problem) if problem else logger.info("The key store is well again.")
        self._problem = problem


def _view(stored: StoredRing, stamp: Hashable) -> _View:
    active = {key.purpose: key.id for key in stored.keys if key.state is State.ACTIVE}
    return _View(stored, stamp, {key.id: key for key in stored.keys}, active)


def _live(stored: StoredRing, purpose: Purpose) -> list[StoredKey]:
    """Return the live keys of a purpose, oldest first."""
    keys = [key for key in stored.keys if key.purpose is purpose and key.state in LIVE]
    return sorted(keys, key=lambda key: key.created_at)


def _require_whole(store: KeyStore, stored: StoredRing, kek: KeyEncryptionKey) -> None:
    """Open every wrapped key, and forget it: a damaged one must show at the start, not at the row that needs it."""
    for key in stored.keys:
        if key.state is not State.DESTROYED:
            try:
                kek.unwrap(key.purpose, key.id, key.wrapped)
            except ValueError:
                raise KeyStoreRefused(
                    f"The key {key.id} in the key store at {store.describe()} is damaged. Bring the store back "
                    "from its backup. Nothing was changed."
                ) from None
