"""The root over a list of leaves (RFC 9162, section 2.1.1): any other list, and any other order, has another root."""

import hashlib
from collections.abc import Iterable


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf. Leaves and nodes begin differently, so that neither can be passed off as the other."""
    return hashlib.sha256(b"\x00" + data).digest()


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root (32 bytes) over leaf hashes, in the order in which they come; of none it is the empty hash."""
    # Complete subtrees from the left, the larger first: (how many leaves, hash).
    trees: list[tuple[int, bytes]] = []
    for leaf in leaves:
        size, node = 1, leaf
        while trees and trees[-1][0] == size:
            node, size = _node(trees.pop()[1], node), 2 * size
        trees.append((size, node))
    if not trees:
        return hashlib.sha256(b"").digest()
    root = trees.pop()[1]
    while trees:
        root = _node(trees.pop()[1], root)
    return root


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
