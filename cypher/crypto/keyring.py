"""The keys of one deployment, unwrapped on first use, held in memory only.

The ring follows its store: what another process writes is taken over, unless it is not this ring any more.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from cypher.clock import Clock
from cypher.crypto.checks import require_later_state, require_there, require_whole
from cypher.crypto.keys import Algorithm, Key, KeyInfo, KeyUse, Purpose, RotationPolicy, State, UnknownKey
from cypher.crypto.keystore import KeyStore, StoredKey, StoredRing
from cypher.crypto.making import make_key, make_ring, new_kdf, rewrap_ring
from cypher.crypto.view import RingView
from cypher.crypto.wrapping import KeyEncryptionKey
from cypher.errors import KeyStoreRefused, KeysUnavailable

__all__ = ["Algorithm", "Key", "KeyInfo", "KeyRing", "KeyUse", "Purpose", "RotationPolicy", "State", "UnknownKey"]

logger = logging.getLogger("cypher.crypto")

#: What is sealed after this time without a look at the store might be sealed under a key that is being destroyed.
CONFIRMED_SECONDS = 30.0
#: The store is not looked at for every unknown key id that stands in a row: who asks in between waits for the next.
LOOK_SECONDS = 1.0
#: Far more than policies that make sense come to, and fewer than a store may hold and still be read: see LARGEST.
MOST_KEYS = 7000


class KeyRing:
    """All keys by purpose and by id. May be used from several threads."""

    def __init__(self, store: KeyStore, kek: KeyEncryptionKey, clock: Clock, view: RingView) -> None:
        """Take over what `open` or `create` has read and checked; call those."""
        self._store = store
        self._kek = kek
        self._clock = clock
        self._view = view
        self._following = threading.Lock()
        self._looking = asyncio.Lock()
        self._problem: str | None = None
        self._looked_at = float("-inf")
        self._confirmed_at = clock.monotonic()

    def __repr__(self) -> str:
        return f"KeyRing({self._store.describe()}, generation {self.generation})"

    @classmethod
    def open(cls, store: KeyStore, master_password: str, clock: Clock) -> "KeyRing":
        """Open the ring that the store holds. Takes about 0.2 s: run it off the loop.

        Raises KeyStoreRefused, and has written nothing, when there is none, when it is damaged, and when the
        password is not its own.
        """
        # The stamp first: what is written between the two is met again at the next look.
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
        view = RingView(stored, stamp, kek)
        require_whole(store, view)
        return cls(store, kek, clock, view)

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

        `opaque_setup` has 128 bytes; those that seal rows and the cache get `data_algorithm`. Takes about 0.2 s: run it
        off the loop. It must only be called for a database that holds nothing sealed.
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
        return cls(store, kek, clock, RingView(made, stamp, kek))

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

    def now(self) -> datetime:
        """Return the time of day by the clock that dates the keys."""
        return self._clock.now()

    def primary(self, purpose: Purpose) -> Key:
        """Return the active key of a purpose; raise KeyStoreRefused when there is none."""
        key = self._view.active(purpose)
        if key is None:
            raise KeyStoreRefused(f"The key store at {self._store.describe()} has no active key for {purpose}.")
        return key

    async def confirmed(self, purpose: Purpose, at: datetime | None = None) -> Key:
        """Return the key that is active, or that serves the moment `at`, of a ring that was confirmed in the last 30 s.

        Raises KeysUnavailable when it cannot be: the key of an old ring may be on its way to be destroyed, and
        what is made with it would be lost.
        """
        if not self._is_confirmed():
            await self._look_again()
            if not self._is_confirmed():
                raise KeysUnavailable
        return self.primary(purpose) if at is None else self._view.serving(purpose, at) or self.primary(purpose)

    def confirmed_now(self, purpose: Purpose) -> Key | None:
        """Return the active key if the ring was confirmed in the last 30 s; looks at no store."""
        return self._view.active(purpose) if self._is_confirmed() else None

    def find(self, key_id: str) -> Key | None:
        """Return the live key of an id, of what is known here; looks at no store."""
        return self._view.find(key_id)

    async def key(self, key_id: str) -> Key:
        """Return the live key of an id, also one that another process has made a moment ago; else UnknownKey.

        An unknown id makes the store be looked at, once a second at most; all who ask meanwhile share that look.
        """
        key = self.find(key_id)
        if key is None:
            await self.learn((key_id,))
            key = self.find(key_id)
        if key is None:
            raise UnknownKey("no key of this id")
        return key

    async def learn(self, key_ids: Collection[str]) -> frozenset[str]:
        """Look for all of these keys at once; returns the ids that stay unknown."""
        if any(self.find(key_id) is None for key_id in key_ids):
            await self._look_again()
        return frozenset(key_id for key_id in key_ids if self.find(key_id) is None)

    def live(self, purpose: Purpose) -> tuple[Key, ...]:
        """Return every key of a purpose that can still be met: the active one, then the others, newest first."""
        newest_first = reversed(self._view.live(purpose))
        return tuple(sorted(newest_first, key=lambda key: key.state is not State.ACTIVE))

    def first(self, purpose: Purpose) -> Key:
        """Return the oldest live key of a purpose; raise KeyStoreRefused when there is none."""
        keys = self._view.live(purpose)
        if not keys:
            raise KeyStoreRefused(f"The key store at {self._store.describe()} has no key for {purpose}.")
        return keys[0]

    def get_key_info(
        self, uses: Mapping[str, KeyUse] = MappingProxyType({}), policy: RotationPolicy | None = None
    ) -> tuple[KeyInfo, ...]:
        """Return all that may be shown of every key, of destroyed ones as well, in the order they were made.

        With `uses`, by key id, also what the database knows of them; with `policy` when the next ones are due.
        """
        unknown = KeyUse()
        return tuple(
            replace(
                info,
                operations=uses.get(info.id, unknown).operations,
                rows_remaining=uses.get(info.id, unknown).rows,
                next_rotation_at=policy.next_rotation(info.purpose, info.state, info.activated_at) if policy else None,
            )
            for info in self._view.infos()
        )

    @property
    def stored(self) -> StoredRing:
        """The ring as it was last read, every key in it wrapped."""
        return self._view.stored

    def reload(self) -> bool:
        """Look at the store and take over what is new; tell whether anything was.

        Costs one `stat` when nothing was written. A store that cannot be read, is older, or does not open with
        the password of this process any more leaves the keys as they are and turns `healthy` off.
        """
        with self._following:
            self._looked_at = self._clock.monotonic()
            try:
                changed = self._follow()
            except KeyStoreRefused as refusal:
                self._report(str(refusal))
                return False
            self._report(None)
            self._confirmed_at = self._looked_at
            return changed

    def change(self, edit: Callable[[StoredRing], StoredRing]) -> bool:
        """Write the store, as nothing else does: lock it, read it anew, edit, count one generation on.

        An edit that returns its argument writes nothing, and the answer is False. Run it off the loop: it waits.
        Raises KeyStoreRefused, and has written nothing, when
        the store does not open with the password of this process any more or is not the ring it was.
        """
        changed = self._write(edit)
        self.reload()
        return changed

    def rewrap(self, master_password: str, rounds: int) -> None:
        """Wrap every key anew, under another password or other rounds, in one write. Takes about 0.2 s or more.

        Whatever happens, the store opens with the old password or with the new one. Every other process that has it
        open writes nothing from now on and reports unhealthy, until it is started with the new password.
        """
        kdf = new_kdf(rounds)
        kek = KeyEncryptionKey.from_password(master_password, kdf)
        self._write(lambda stored: rewrap_ring(stored, self._kek, kek, kdf))
        self._kek = kek
        self.reload()

    def new_key(
        self, purpose: Purpose, algorithm: Algorithm, *, state: State = State.ACTIVE, secret: bytes | None = None
    ) -> StoredKey:
        """Make a key of random bytes, or of those given, wrapped, for an edit to add."""
        return make_key(self._kek, self._clock.now(), purpose, algorithm, secret, state=state)

    def _write(self, edit: Callable[[StoredRing], StoredRing]) -> bool:
        with self._store.lock():
            before = require_there(self._store, self._store.read())
            self._require_ours(before)
            after = edit(before)
            if len(before.keys) < len(after.keys) > MOST_KEYS:
                raise KeyStoreRefused(
                    f"The key store at {self._store.describe()} holds {MOST_KEYS} keys and takes no more; those go on. "
                    "Raise KEY_ROTATION_OPERATIONS and KEY_ROTATION_DAYS. Nothing was changed."
                )
            if after is not before:
                self._store.write(replace(after, generation=before.generation + 1))
        return after is not before

    def _is_confirmed(self) -> bool:
        return self._clock.monotonic() - self._confirmed_at <= CONFIRMED_SECONDS

    async def _look_again(self) -> None:
        asked = self._clock.monotonic()
        async with self._looking:
            if self._looked_at >= asked:
                return
            await asyncio.sleep(max(0.0, self._looked_at + LOOK_SECONDS - self._clock.monotonic()))
            await asyncio.to_thread(self.reload)

    def _follow(self) -> bool:
        stamp = self._store.stamp()
        if stamp is not None and stamp == self._view.stamp:
            return False
        stored = require_there(self._store, self._store.read())
        changed = stored.generation != self.generation
        self._view = self._require_ours(stored, stamp)
        return changed

    def _require_ours(self, found: StoredRing, stamp: object = None) -> RingView:
        """Return the view of what was read if it is this ring or a later state of it, whole."""
        require_later_state(self._store, self._kek, self._view.stored, found)
        view = RingView(found, stamp, self._kek)
        require_whole(self._store, view)
        return view

    def _report(self, problem: str | None) -> None:
        if problem is not None and problem != self._problem:
            logger.error("%s", problem)
        self._problem = problem
