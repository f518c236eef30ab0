"""Checks an exported trail with nothing but the export: its leaves, roots, signatures and order.

It cannot check what an entry says: that is a keyed hash's, and the key stays with the service. What the export says of
the keys is not proof either: compare them with those that the service itself shows, or hand in its checkpoints.
"""

from collections.abc import Callable, Iterable, Iterator

from msgspec.structs import replace

from cypher.crypto import base64url
from cypher.errors import OperatorError
from cypher.maintenance.checkpoints import Checkpoint
from cypher.maintenance.exported import End, Header, LeafLine, Line, PublicKey, SealLine, UnsealedLine, read_lines
from cypher.maintenance.seal_chain import Attack, Finding, SealChain, find_foreign_root, find_gap, of_entry
from cypher.maintenance.verification import Verified


class OfflineVerification:
    """One run over the lines of an export."""

    def __init__(self, lines: Iterable[bytes], checkpoints: Iterable[Checkpoint] = ()) -> None:
        self._lines: Iterator[Line] = iter(read_lines(lines))
        self._checkpoints = checkpoints
        self._done = Verified()
        self.public_keys: dict[str, bytes] = {}

    def run(self, report: Callable[[int], None] = lambda done: None) -> Verified:
        """Look at every line, up to the first finding; raises OperatorError for what is no export."""
        try:
            finding, chain = self._walk(report)
        except ValueError as exc:
            raise OperatorError("This is no export of the audit trail: a value in it is not base64url.") from exc
        return replace(self._done, finding=finding, checkpoint_no=chain.checkpoint_no)

    def _walk(self, report: Callable[[int], None]) -> tuple[Finding | None, SealChain]:
        line = self._read_head()
        chain = SealChain(self.public_keys, self._checkpoints)
        while isinstance(line, SealLine):
            finding, line = self._look_at(chain, line)
            if finding:
                return finding, chain
            report(self._done.entries)
        while isinstance(line, UnsealedLine):
            self._done = replace(self._done, unsealed=self._done.unsealed + 1)
            line = self._next()
        if not isinstance(line, End):
            raise OperatorError("This is no whole export of the audit trail: its end is missing.")
        return chain.finish(), chain

    def _read_head(self) -> Line | None:
        if not isinstance(self._next(), Header):
            raise OperatorError("This is no export of the audit trail: it does not begin with a header.")
        line = self._next()
        while isinstance(line, PublicKey):
            self.public_keys[line.id] = base64url.decode(line.key)
            line = self._next()
        return line

    def _look_at(self, chain: SealChain, line: SealLine) -> tuple[Finding | None, Line | None]:
        """Check a seal and the leaves that follow it; returns the line after them as well."""
        seal, leaves = line.seal(), []
        following = self._next()
        wrong: Finding | None = None
        while isinstance(following, LeafLine):
            leaf, entry = following.leaf(), following.entry
            leaves.append((following.position, leaf))
            if entry is not None and entry.id != leaf.entry_id and wrong is None:
                wrong = of_entry(Attack.REORDERED, seal.statement, following.position, leaf, "has another's entry")
            self._done = replace(self._done, entries=self._done.entries + (entry is not None))
            following = self._next()
        finding = chain.follow(seal) or find_gap(seal.statement, leaves) or find_foreign_root(seal.statement, leaves)
        self._done = replace(self._done, seals=self._done.seals + 1)
        return finding or wrong, following

    def _next(self) -> Line | None:
        return next(self._lines, None)
