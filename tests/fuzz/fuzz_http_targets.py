"""Targets and hosts of HTTP. Whatever is accepted is its own canonical form, and nothing that servers read in two ways.

The only rejection is a sentence.
"""

import sys
from pathlib import Path
from urllib.parse import unquote

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["interlock.protocols.http.wire"]):
    from interlock.protocols.http.wire.messages import AbsoluteTarget, Authority, Target
    from interlock.protocols.http.wire.targets import absolute_form, canonical_authority, canonical_target

from tests.fuzz.target import run


def test_one_input(data: bytes) -> None:
    target = canonical_target(data)
    if isinstance(target, Target):
        check(target)
    authority = canonical_authority(data)
    if isinstance(authority, Authority):
        assert canonical_authority(authority.wire) == authority
    first, _, second = data.partition(b"\n")
    absolute = absolute_form(first, second)
    if isinstance(absolute, AbsoluteTarget):
        check(absolute.target)


def check(target: Target) -> None:
    assert canonical_target(target.wire) == target
    path = unquote(target.path, errors="strict")
    assert path.count("/") == target.path.count("/")
    assert not set("\\%;\0") & set(path)
    assert not {".", ".."} & set(path.split("/"))
    assert "//" not in path
    pairs = target.query.split("&") if target.query else []
    assert len(pairs) == len(target.query_keys)
    for pair, key in zip(pairs, target.query_keys, strict=True):
        assert unquote(pair.partition("=")[0].replace("+", " "), errors="strict") == key


if __name__ == "__main__":
    run("http_targets", test_one_input)
