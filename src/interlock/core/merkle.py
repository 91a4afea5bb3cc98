"""The Merkle tree over the ledger's entries: hashing, roots, and proofs that anyone can check.

The tree is that of RFC 6962 section 2.1 (the same in RFC 9162 section 2.1): a leaf is hashed behind a zero byte, an
inner node behind a one byte, and a tree of n leaves splits at the largest power of two below n. A *frontier* is all
that has to be remembered to go on growing the tree: the roots of the perfect subtrees that it consists of, largest
first (never more than 64). Proofs are first named as ranges of leaves, so that one pass over the leaves, in bounded
memory, can collect the hashes of any number of proofs.

Nothing in here reads a file or knows what a leaf means.
"""

import hashlib
from collections.abc import Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

Range = tuple[int, int]
"""Leaves ``start`` to ``end - 1``: one subtree."""


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A growing tree, remembered by the roots of its perfect subtrees.

    ``size`` is the number of leaves, ``hashes`` one hash for each bit set in it, largest subtree first. Raises
    ``ValueError`` when the two do not fit together.
    """

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)
        if size < 0 or size.bit_count() != len(self.hashes) or any(len(h) != HASH_BYTES for h in self.hashes):
            raise ValueError("a frontier needs one hash for each bit of its size")

    def append(self, leaf: bytes) -> None:
        """Grow by one leaf, given by its hash."""
        start = self.size
        self.size = end = start + 1
        node = leaf
        self._grown(start, end, node)
        width = 1
        while start & width:
            start -= width
            width <<= 1
            node = node_hash(self.hashes.pop(), node)
            self._grown(start, end, node)
        self.hashes.append(node)

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Grow by leaves, given by their hashes."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """The Merkle tree hash of all leaves so far."""
        return self._fold(0)

    def _fold(self, first: int) -> bytes:
        """The hash over the perfect subtrees from number ``first`` on."""
        if first >= len(self.hashes):
            return EMPTY_ROOT
        node = self.hashes[-1]
        for left in reversed(self.hashes[first:-1]):
            node = node_hash(left, node)
        return node

    def _grown(self, start: int, end: int, node: bytes) -> None:
        """Called for each perfect subtree that comes to be; nothing to do here."""


class SubtreeCollector(Frontier):
    """A tree that grows from nothing and keeps the hashes of the subtrees somebody asked for.

    It serves any number of proofs of one tree in one pass: ask for the ranges of ``inclusion_path`` and
    ``consistency_path``, append all leaves, then read the proofs.
    """

    def __init__(self, wanted: Iterable[Range]) -> None:
        super().__init__()
        self._wanted = set(wanted)
        self._found: dict[Range, bytes] = {}

    def proof(self, path: Sequence[Range]) -> list[bytes]:
        """The hashes of a path. Raises ``KeyError`` for a range that was not asked for or is not complete."""
        return [self._found[part] if part in self._found else self._ragged(part) for part in path]

    def _grown(self, start: int, end: int, node: bytes) -> None:
        if (start, end) in self._wanted:
            self._found[start, end] = node

    def _ragged(self, part: Range) -> bytes:
        """A subtree at the right edge that is not perfect: it ends where the tree ends."""
        start = 0
        if part[1] == self.size:
            for number in range(len(self.hashes)):
                if start == part[0]:
                    return self._fold(number)
                start += 1 << ((self.size - start).bit_length() - 1)
        raise KeyError(part)


def inclusion_path(index: int, size: int) -> list[Range]:
    """The subtrees whose hashes prove that leaf ``index`` is in the tree of ``size`` leaves (RFC 9162 2.1.3.1).

    Raises ``ValueError`` when the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    start, end = 0, size
    path: list[Range] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    path.reverse()
    return path


def consistency_path(old: int, new: int) -> list[Range]:
    """The subtrees whose hashes prove that the tree of ``new`` leaves extends that of ``old`` (RFC 9162 2.1.4.1).

    Raises ``ValueError`` unless ``0 < old <= new``.
    """
    if not 0 < old <= new:
        raise ValueError(f"a tree of {new} cannot extend one of {old}")
    start, end = 0, new
    path: list[Range] = []
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    if start:
        path.append((start, end))
    path.reverse()
    return path


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether ``proof`` shows that ``leaf`` (its hash) is number ``index`` under ``root`` (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    fn, sn, node = index, size - 1, leaf
    for part in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            node = node_hash(part, node)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            node = node_hash(node, part)
        fn >>= 1
        sn >>= 1
    return sn == 0 and node == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether ``proof`` shows that the tree under ``new_root`` extends the one under ``old_root`` (RFC 9162 2.1.4.2).

    The empty tree is extended by every tree, with an empty proof.
    """
    if old == new or old == 0:
        return not proof and old <= new and (old_root == (new_root if old == new else EMPTY_ROOT))
    if not 0 < old < new:
        return False
    parts = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not parts:
        return False
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    first = second = parts[0]
    for part in parts[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            first, second = node_hash(part, first), node_hash(part, second)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            second = node_hash(second, part)
        fn >>= 1
        sn >>= 1
    return sn == 0 and first == old_root and second == new_root


def _split(size: int) -> int:
    """The largest power of two below ``size`` (``size`` > 1)."""
    return 1 << ((size - 1).bit_length() - 1)
