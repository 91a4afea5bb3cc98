import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.http.dialects.endpoints import Endpoints

TEMPLATES = {
    "root": "/",
    "volumes": "/volumes",
    "volume": "/volumes/{id}",
    "newest": "/volumes/newest",
    "snapshots": "/volumes/{id}/snapshots",
    "files": "/files/**",
    "file": "/files/{name}",
    "readme": "/files/readme/**",
}


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/", "root"),
        ("/volumes", "volumes"),
        ("/volumes/", "volumes"),
        ("/volumes/1", "volume"),
        ("/volumes/1/", "volume"),
        ("/volumes/newest", "newest"),
        ("/volumes/newest/snapshots", "snapshots"),
        ("/volumes/1/snapshots/2", None),
        ("/Volumes/1", None),
        ("/volume", None),
        ("/files", "files"),
        ("/files/a", "file"),
        ("/files/a/b", "files"),
        ("/files/readme", "readme"),
        ("/files/readme/a", "readme"),
        ("/volumes/{id}", "volume"),
        ("/volumes/**", "volume"),
        ("/volumes//", None),
    ],
)
def test_the_most_specific_template_counts(path: str, endpoint: str | None) -> None:
    assert Endpoints(TEMPLATES).find(path) == endpoint


def test_what_more_specific_text_leads_nowhere_is_tried_as_a_parameter() -> None:
    endpoints = Endpoints({"one": "/a/b/c", "two": "/a/{x}/d", "three": "/{y}/b/e"})
    assert [endpoints.find(path) for path in ("/a/b/c", "/a/b/d", "/a/b/e", "/a/b/f")] == ["one", "two", "three", None]


@pytest.mark.parametrize("templates", [{"a": "/v/{x}", "b": "/v/{y}"}, {"a": "/v", "b": "/v/"}])
def test_two_endpoints_with_the_same_paths_are_an_error(templates: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="endpoints a and b have the same paths"):
        Endpoints(templates)


@pytest.mark.parametrize("template", ["v", "/a//b", "/a/**/b", "/a/{b", "/a/b*", "/a/{}", "/a/*", "/x{y}"])
def test_bad_templates_are_an_error(template: str) -> None:
    with pytest.raises(ValueError, match="endpoint bad"):
        Endpoints({"bad": template})


def test_many_alike_templates_take_no_long_search() -> None:
    # each level offers text and a parameter; only the number of templates bounds what is tried
    endpoints = Endpoints(
        {f"e{n}": "/" + "/".join("a" if n >> bit & 1 else "{x}" for bit in range(8)) for n in range(256)}
    )
    assert endpoints.find("/" + "/".join("a" * 8)) == "e255"
    assert endpoints.find("/" + "/".join("a" * 7) + "/b/c") is None


# ---------------------------------------------------------------- against a reference that compares all of them

_segment = st.sampled_from(["a", "b", "c"])
_template = st.builds(
    lambda parts, rest: "/" + "/".join([*parts, *(["**"] if rest else [])]),
    st.lists(st.one_of(_segment, st.just("{x}")), max_size=4),
    st.booleans(),
)
_path = st.lists(_segment, max_size=6).map(lambda parts: "/" + "/".join(parts))


def _reference(templates: Mapping[str, str], path: str) -> str | None:
    order = {"{x}": 1, "**": 2}

    def pattern(template: str) -> str:
        body = "".join(
            "(/.*)?" if s == "**" else "/[^/]+" if s == "{x}" else f"/{s}" for s in template.split("/")[1:] if s
        )
        return body + "/?"

    matching = [(name, t) for name, t in templates.items() if re.fullmatch(pattern(t), path)]
    # a template that ends where another has ** left is more specific
    key = {name: [order.get(s, 0) for s in t.split("/")[1:] if s] for name, t in matching}
    return min(key, key=lambda name: key[name], default=None)


@given(st.lists(_template, unique=True, max_size=12), _path)
def test_the_same_as_comparing_all_templates(found: list[str], path: str) -> None:
    templates = {f"e{place}": template for place, template in enumerate(found)}
    assert Endpoints(templates).find(path) == _reference(templates, path)


def test_templates_are_compared_as_canonical_paths_are_written() -> None:
    endpoints = Endpoints({"plain": "/café/{x}", "escaped": "/th%C3%A9/a b"})
    assert endpoints.find("/caf%C3%A9/1") == "plain"
    assert endpoints.find("/th%C3%A9/a%20b") == "escaped"
