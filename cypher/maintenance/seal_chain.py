"""Follows the chain of seals with public keys alone: signatures, order, leaves, roots, checkpoints. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from cypher.crypto import base64url
from cypher.crypto.sealing import NOTHING, Leaf, Statement, root_over
from cypher.crypto.signing import is_signed
from cypher.errors import OperatorError
from cypher.maintenance.checkpoints import Checkpoint
from cypher.repositories.audit_seals import Seal

#: Leaves of one seal with their positions, in their order.
Positioned = Sequence[tuple[int, Leaf]]


class Attack(StrEnum):
    """What was done to a trail that does not hold."""

    EDITED = "edited"
    DELETED = "deleted"
    REORDERED = "reordered"
    CUT = "cut"
    REWRITTEN = "rewritten"
    FORGED = "forged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The first place at which a trail does not hold."""

    attack: Attack
    sentence: str
    seal_no: int | None = None
    position: int | None = None  #: in the seal, counted from 0
    entry_id: UUID | None = None


class SealChain:
    """Takes one seal after the other, from the first one on."""

    def __init__(self, public_keys: Mapping[str, bytes], checkpoints: Iterable[Checkpoint] = ()) -> None:
        """Take the keys that seals may be signed with, by id, and checkpoints in the order in which they were made."""
        self._keys = public_keys
        self._checkpoints: Iterator[Checkpoint] = iter(checkpoints)
        self._next = next(self._checkpoints, None)
        self.last: Statement | None = None
        self.checkpoint_no: int | None = None  #: the newest seal that a checkpoint vouches for

    def begin_after(self, said: Statement) -> None:
        """Take a seal as it is, without proof: the next one has to follow it."""
        self.last = said

    def follow(self, seal: Seal) -> Finding | None:
        """Take the next seal; returns what is wrong with it. Its leaves are not looked at here."""
        said, number = seal.statement, self.last.seal_no + 1 if self.last else 1
        if said.seal_no != number:
            return Finding(attack=Attack.DELETED, seal_no=number, sentence=f"Seal {number} is gone.")
        public = self._keys.get(seal.signing_key_id)
        if public is None or not is_signed(public, seal.signature, said.message()):
            return _of_seal(Attack.FORGED, said, "is not what the trail's key has signed")
        if said.previous != (self.last.digest() if self.last else NOTHING):
            return _of_seal(Attack.REWRITTEN, said, "does not follow the seal before it")
        self.last = said
        return self._meet_checkpoints(said)

    def finish(self) -> Finding | None:
        """Say whether a checkpoint knows of a seal beyond the last one that was taken."""
        if self._next is None:
            return None
        self._require_ours(self._next)
        ends = f"ends with seal {self.last.seal_no}" if self.last else "has no seal at all"
        known = f"a checkpoint of {self._next.made_at:%Y-%m-%d %H:%M:%S} UTC knows seal {self._next.seal_no}"
        seal_no = self.last.seal_no + 1 if self.last else 1
        return Finding(attack=Attack.CUT, seal_no=seal_no, sentence=f"The trail {ends}, and {known}: it was cut.")

    def _meet_checkpoints(self, said: Statement) -> Finding | None:
        while self._next is not None and self._next.seal_no <= said.seal_no:
            checkpoint, self._next = self._next, next(self._checkpoints, None)
            self._require_ours(checkpoint)
            if checkpoint.seal_no == said.seal_no and checkpoint.mark().digest != said.digest():
                when = f"{checkpoint.made_at:%Y-%m-%d %H:%M:%S} UTC"
                return _of_seal(Attack.REWRITTEN, said, f"is not the one that a checkpoint of {when} has seen")
            self.checkpoint_no = checkpoint.seal_no
        return None

    def _require_ours(self, checkpoint: Checkpoint) -> None:
        public = self._keys.get(checkpoint.signing_key_id)
        signature = base64url.decode(checkpoint.signature)
        if public is None or not is_signed(public, signature, checkpoint.mark().message()):
            raise OperatorError(
                f"The checkpoint of {checkpoint.made_at:%Y-%m-%d %H:%M:%S} UTC is not one of this trail: its signature "
                "is not by a key of this deployment. Take the file that this service has written."
            )


def find_gap(said: Statement, leaves: Positioned) -> Finding | None:
    """Return the first position of a seal at which no leaf, or one too many, stands."""
    for expected, (position, leaf) in enumerate(leaves):
        if position != expected:
            return _gone(said, expected)
        if position >= said.count:
            sentence = f"The entry {leaf.entry_id} was put into seal {said.seal_no} at position {position}."
            return _at(Attack.FORGED, said, position, leaf, sentence)
    return _gone(said, len(leaves)) if len(leaves) < said.count else None


def find_foreign_root(said: Statement, leaves: Positioned) -> Finding | None:
    """Say whether these are other leaves, or in another order, than those that were sealed."""
    if root_over([leaf for _, leaf in leaves]) == said.root:
        return None
    return _of_seal(Attack.REWRITTEN, said, "does not seal the entries that stand under it")


def of_entry(attack: Attack, said: Statement, position: int, leaf: Leaf, what: str) -> Finding:
    """Return a finding about a sealed entry."""
    sentence = f"The entry {leaf.entry_id} (seal {said.seal_no}, position {position}) {what}."
    return _at(attack, said, position, leaf, sentence)


def _at(attack: Attack, said: Statement, position: int, leaf: Leaf, sentence: str) -> Finding:
    return Finding(attack=attack, seal_no=said.seal_no, position=position, entry_id=leaf.entry_id, sentence=sentence)


def _gone(said: Statement, position: int) -> Finding:
    sentence = f"The entry at position {position} of seal {said.seal_no} is gone, and its leaf with it."
    return Finding(attack=Attack.DELETED, seal_no=said.seal_no, position=position, sentence=sentence)


def _of_seal(attack: Attack, said: Statement, what: str) -> Finding:
    return Finding(attack=attack, seal_no=said.seal_no, sentence=f"Seal {said.seal_no} {what}.")
