"""One state of the key ring, as read from its store: looks keys up and unwraps them, each on first use."""

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from datetime import datetime

from cypher.crypto.keys import LIVE, Key, KeyInfo, Purpose, State
from cypher.crypto.stored import StoredKey, StoredRing
from cypher.crypto.wrapping import KeyEncryptionKey


class RingView:
    """Never changed but for the keys unwrapped so far: a ring replaces it as a whole, so readers need no lock."""

    def __init__(self, stored: StoredRing, stamp: Hashable, kek: KeyEncryptionKey) -> None:
        self.stored = stored
        self.stamp = stamp
        self._kek = kek
        self._by_id = {key.id: key for key in stored.keys}
        self._active = {key.purpose: key.id for key in stored.keys if key.state is State.ACTIVE}
        self._terms = {purpose: _terms(stored, purpose) for purpose in Purpose}
        self._unwrapped: dict[str, Key] = {}

    def find(self, key_id: str) -> Key | None:
        """Return the live key of an id."""
        key = self._unwrapped.get(key_id)
        if key is not None:
            return key
        stored = self._by_id.get(key_id)
        return self._unwrap(stored) if stored and stored.state in LIVE else None

    def active(self, purpose: Purpose) -> Key | None:
        """Return the key that new things of this purpose are made with."""
        key_id = self._active.get(purpose)
        return None if key_id is None else self.find(key_id)

    def serving(self, purpose: Purpose, moment: datetime) -> Key | None:
        """Return the key that is, or was, or will be the active one at a moment: the last to be activated by then.

        Who asks this instead of `active` gets the same answer before and after learning that a month is over.
        """
        begins, key_ids = self._terms[purpose]
        number = bisect_right(begins, moment)
        return self.find(key_ids[number - 1]) if number else None

    def live(self, purpose: Purpose) -> tuple[Key, ...]:
        """Return the keys of a purpose that can still be met, oldest first: as they stand, whatever a clock said."""
        keys = (self.find(key.id) for key in self.stored.keys if key.purpose is purpose)
        return tuple(key for key in keys if key is not None)

    def infos(self) -> tuple[KeyInfo, ...]:
        """Return all that may be shown of every key, in the order in which they were made."""
        replaced_at = self.stored.replacements()
        return tuple(
            KeyInfo(
                id=key.id,
                purpose=key.purpose,
                algorithm=key.algorithm,
                state=key.state,
                created_at=key.created_at,
                activated_at=key.activated_at,
                replaced_at=replaced_at.get(key.id),
            )
            for key in self.stored.keys
        )

    def first_damaged(self) -> StoredKey | None:
        """Open every wrapped key, and forget it: damage must show at the start, not at the row that needs the key."""
        for key in self.stored.keys:
            if key.state is not State.DESTROYED:
                try:
                    self._kek.unwrap(key.purpose, key.id, key.wrapped)
                except ValueError:
                    return key
        return None

    def _unwrap(self, stored: StoredKey) -> Key:
        key = self._unwrapped[stored.id] = Key(
            id=stored.id,
            purpose=stored.purpose,
            algorithm=stored.algorithm,
            state=stored.state,
            created_at=stored.created_at,
            activated_at=stored.activated_at,
            secret=self._kek.unwrap(stored.purpose, stored.id, stored.wrapped),
        )
        return key


def _terms(stored: StoredRing, purpose: Purpose) -> tuple[Sequence[datetime], Sequence[str]]:
    """Return when each live key of a purpose began or begins to serve, and their ids, in the order of these moments."""
    begun = ((key.activated_at, key.id) for key in stored.keys if key.purpose is purpose and key.state in LIVE)
    # Of two of one moment the one that was made later comes last, and serves.
    terms = sorted(((moment, key_id) for moment, key_id in begun if moment), key=lambda term: term[0])
    return [moment for moment, _ in terms], [key_id for _, key_id in terms]
