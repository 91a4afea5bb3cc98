"""The tree against the recursive definitions of RFC 6962 section 2.1, and against published values."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.merkle import (
    EMPTY_ROOT,
    Frontier,
    SubtreeCollector,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

# The inputs and roots that Certificate Transparency implementations share as their known-answer test.
KNOWN_INPUTS = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
KNOWN_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def reference_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(reference_root(leaves[:k]), reference_root(leaves[k:]))


def reference_inclusion(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*reference_inclusion(index, leaves[:k]), reference_root(leaves[k:])]
    return [*reference_inclusion(index - k, leaves[k:]), reference_root(leaves[:k])]


def reference_consistency(old: int, leaves: list[bytes], *, whole: bool = True) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [reference_root(leaves)]
    k = split(len(leaves))
    if old <= k:
        return [*reference_consistency(old, leaves[:k], whole=whole), reference_root(leaves[k:])]
    return [*reference_consistency(old - k, leaves[k:], whole=False), reference_root(leaves[:k])]


def split(size: int) -> int:
    k = 1
    while k * 2 < size:
        k *= 2
    return k


def leaves_of(size: int) -> list[bytes]:
    return [leaf_hash(number.to_bytes(4, "big")) for number in range(size)]


def collected(leaves: list[bytes], path: list[tuple[int, int]]) -> list[bytes]:
    tree = SubtreeCollector(path)
    tree.extend(leaves)
    return tree.proof(path)


def test_known_answers() -> None:
    tree = Frontier()
    assert tree.root() == hashlib.sha256(b"").digest()
    for data, root in zip(KNOWN_INPUTS, KNOWN_ROOTS, strict=True):
        tree.append(leaf_hash(data))
        assert tree.root().hex() == root


@given(st.lists(st.binary(max_size=20), max_size=70))
def test_a_frontier_has_the_root_of_the_definition(inputs: list[bytes]) -> None:
    leaves = [leaf_hash(data) for data in inputs]
    tree = Frontier()
    tree.extend(leaves)
    assert tree.root() == reference_root(leaves)
    assert len(tree.hashes) == len(leaves).bit_count()


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_stored_frontier_goes_on_where_it_was(first: int, second: int) -> None:
    leaves = leaves_of(first + second)
    tree = Frontier()
    tree.extend(leaves[:first])
    again = Frontier(tree.size, tree.hashes)
    again.extend(leaves[first:])
    assert again.root() == reference_root(leaves)


def test_a_frontier_refuses_hashes_that_do_not_fit_its_size() -> None:
    with pytest.raises(ValueError, match="one hash for each bit"):
        Frontier(3, leaves_of(1))
    with pytest.raises(ValueError, match="one hash for each bit"):
        Frontier(1, [b"short"])


@pytest.mark.parametrize("size", range(1, 34))
def test_inclusion_proofs_are_those_of_the_definition_and_verify(size: int) -> None:
    leaves = leaves_of(size)
    root = reference_root(leaves)
    for index in range(size):
        proof = collected(leaves, inclusion_path(index, size))
        assert proof == reference_inclusion(index, leaves)
        assert verify_inclusion(leaves[index], index, size, proof, root)


@pytest.mark.parametrize("new", range(1, 34))
def test_consistency_proofs_are_those_of_the_definition_and_verify(new: int) -> None:
    leaves = leaves_of(new)
    for old in range(1, new + 1):
        proof = collected(leaves, consistency_path(old, new))
        assert proof == reference_consistency(old, leaves)
        assert verify_consistency(old, new, reference_root(leaves[:old]), reference_root(leaves), proof)


@given(st.data())
def test_no_other_leaf_index_size_or_proof_verifies(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 40))
    index = data.draw(st.integers(0, size - 1))
    leaves = leaves_of(size)
    root = reference_root(leaves)
    proof = collected(leaves, inclusion_path(index, size))
    other = data.draw(st.integers(0, 60).filter(lambda number: number != index))
    assert not verify_inclusion(leaves[index], other, size, proof, root)
    assert not verify_inclusion(leaf_hash(b"forged"), index, size, proof, root)
    assert not verify_inclusion(leaves[index], index, size, [*proof, leaves[0]], root)
    for place in range(len(proof)):
        assert not verify_inclusion(leaves[index], index, size, proof[:place] + proof[place + 1 :], root)
        assert not verify_inclusion(leaves[index], index, size, [*proof[:place], root, *proof[place + 1 :]], root)


@given(st.data())
def test_no_other_history_is_consistent(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 40))
    old = data.draw(st.integers(1, new - 1))
    leaves = leaves_of(new)
    forged = list(leaves)
    forged[data.draw(st.integers(0, old - 1))] = leaf_hash(b"forged")
    root, old_root = reference_root(leaves), reference_root(leaves[:old])
    proof = collected(leaves, consistency_path(old, new))
    assert not verify_consistency(old, new, reference_root(forged[:old]), root, proof)
    assert not verify_consistency(
        old, new, old_root, reference_root(forged), collected(forged, consistency_path(old, new))
    )
    assert not verify_consistency(old, new, old_root, root, proof[:-1])
    assert not verify_consistency(new, old, root, old_root, proof)


def test_edges_of_consistency() -> None:
    root = reference_root(leaves_of(5))
    assert verify_consistency(5, 5, root, root, [])
    assert not verify_consistency(5, 5, root, EMPTY_ROOT, [])
    assert not verify_consistency(5, 5, root, root, [root])
    assert verify_consistency(0, 5, EMPTY_ROOT, root, [])
    assert not verify_consistency(0, 5, root, root, [])
    assert not verify_consistency(3, 5, root, root, [])


def test_what_cannot_be_proved_is_refused() -> None:
    with pytest.raises(ValueError, match="no leaf 5"):
        inclusion_path(5, 5)
    with pytest.raises(ValueError, match="cannot extend"):
        consistency_path(0, 5)
    tree = SubtreeCollector([])
    tree.extend(leaves_of(6))
    with pytest.raises(KeyError):
        tree.proof([(0, 2)])
    with pytest.raises(KeyError):
        tree.proof([(3, 6)])
