"""Whatever somebody changes in a genuine response, it logs in whom the provider has named, or nobody."""

import contextlib
import copy

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from lxml.etree import _Element as Element

from interlock.adapters.identity.saml.document import MESSAGE, Malformed, read_document
from interlock.adapters.identity.saml.response import Refused, accept
from tests.adapters.identity.saml.asserter import Asserter
from tests.adapters.identity.saml.test_response import expected

PROVIDER = Asserter()
GENUINE = {signed: PROVIDER.respond(sign=signed) for signed in ("assertion", "response", "both")}
SAID = accept(GENUINE["both"], expected(PROVIDER))
SPLICES = (
    b"",
    b"<",
    b">",
    b"&",
    b"<!-- -->",
    b"<![CDATA[x]]>",
    b"<?x?>",
    b"evil",
    b'ID="_assertion-1"',
    b"&#0;",
    b"\0",
    b" ",
)
NODES = st.integers(0, 200)


def holds(content: bytes) -> None:
    try:
        assertion = accept(content, expected(PROVIDER))
    except Refused:
        return
    assert assertion == SAID


@given(st.sampled_from(sorted(GENUINE)), st.data())
def test_changed_bytes(signed: str, data: st.DataObject) -> None:
    content = GENUINE[signed]
    begin = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(begin, min(begin + 40, len(content))))
    put = data.draw(st.one_of(st.binary(max_size=20), st.sampled_from(SPLICES)))
    holds(content[:begin] + put + content[end:])


@given(st.sampled_from(sorted(GENUINE)), st.lists(st.tuples(st.integers(0, 4), NODES, NODES), min_size=1, max_size=4))
def test_moved_and_copied_elements(signed: str, moves: list[tuple[int, int, int]]) -> None:
    root = etree.fromstring(GENUINE[signed])
    for kind, first, second in moves:
        elements = list(root.iter())
        move(kind, elements[first % len(elements)], elements[second % len(elements)])
    holds(etree.tostring(root))


def move(kind: int, source: Element, target: Element) -> None:
    """Change the tree; moves that would make no tree change nothing."""
    parent = source.getparent()
    if parent is None or source in target.iterancestors() or source is target:
        return
    if kind == 0:
        target.append(copy.deepcopy(source))
    elif kind == 1:
        target.append(source)
    elif kind == 2:
        parent.remove(source)
    elif kind == 3:
        source.text = target.text
    else:
        source.attrib.update({str(name): str(value) for name, value in target.attrib.items()})


@given(st.one_of(st.binary(max_size=400), st.text(alphabet="<>/!?[]-&;='\"aID: x", max_size=200).map(str.encode)))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(Malformed):
        assert isinstance(read_document(content, MESSAGE).tag, str)
