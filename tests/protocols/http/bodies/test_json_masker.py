"""JSON: masked fields never go on, everything else does as it came, and what is not JSON does not."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.content.tally import Tally
from interlock.core.masking import DetectorMask, Masking, MaskKind
from interlock.protocols.http.bodies import json_masker
from interlock.protocols.http.bodies.json_masker import JsonMasker
from interlock.protocols.http.bodies.plan import plan_for
from interlock.protocols.http.bodies.refusal import BodyRefused, Malformed
from tests.protocols.http.bodies.maskings import CATALOGUE, masking
from tests.protocols.http.bodies.random_json import MARKER, Written, documents, in_pieces

BY_NAME = masking({"e-mail": MaskKind.REDACT})
DETECTING = masking({"e-mail": MaskKind.REDACT}, "email", "credit-card", "ssn", "iban", "phone", "secret")
CUTS = st.lists(st.integers(0, 10_000), max_size=6)


def masked(document: str | bytes, by: Masking = BY_NAME, cuts: list[int] | None = None) -> bytes:
    data = document if isinstance(document, bytes) else document.encode()
    masker = JsonMasker(plan_for(by), Tally(), many=True)
    return in_pieces(masker.feed, masker.finish, data, cuts or [])


def pairs(text: bytes) -> Any:
    return json.loads(text, object_pairs_hook=list, parse_float=str, parse_int=str)


@given(documents, CUTS)
@settings(max_examples=150, deadline=None)
def test_what_is_masked_is_replaced_and_all_else_is_as_it_was(document: Written, cuts: list[int]) -> None:
    out = masked(document.before, cuts=cuts)
    assert out == document.after.encode()
    assert MARKER.encode() not in out
    assert MARKER not in str(pairs(out))
    assert base64.b64encode(MARKER.encode())[:-4] not in out


@given(documents, CUTS)
@settings(max_examples=60, deadline=None)
def test_the_cut_does_not_matter_for_detection(document: Written, cuts: list[int]) -> None:
    assert masked(document.before, DETECTING, cuts) == masked(document.before, DETECTING)


@given(documents, st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_document_that_is_cut_off_is_refused(document: Written, at: int) -> None:
    part = document.before.encode()[: at % len(document.before.encode())]
    try:
        json.loads(part.decode(errors="surrogatepass"))
    except ValueError:
        if part.strip():
            with pytest.raises(Malformed):
                masked(part)
    else:
        assert pairs(masked(part)) is not None or part.strip() == b"null"


NOT_JSON = [
    *(
        "{'a':1}",
        '{"a":1,}',
        "[1,]",
        "[,1]",
        '{"a"}',
        '{"a":}',
        "{a:1}",
        '{"a":1 "b":2}',
        '{"a" 1}',
        "{1:2}",
        "{null:1}",
    ),
    *("NaN", "Infinity", "-Infinity", "[NaN]", "tru", "nulll", "True", "[undefined]", "٣"),
    *("01", "1.", ".5", "+1", "-", "1e", "0x1", "1_0", "[1 2]", "1 2"),
    *('"a', '"\\x"', '"\\u12g4"', '"\\u12"', '"\t"', '"\\ud83d\\u"', '"a"b"', "`a`", '"\n"', '{"\t":1}', '{"\\x":1}'),
    *("[1}", "2]", "{}{}", "[]1", "[1]]", "}}", "]", ",", ":", "1,2", '{"a":1}garbage', "[1;2]", '{"a":1;"b":2}'),
    *("/**/1", "//1", "[/*x*/1]", "[1]//", "#1", "\ufeff1", "\u00a01", "\x0c1", "1\x00"),
]


@pytest.mark.parametrize("text", NOT_JSON)
def test_what_is_not_json_is_refused(text: str) -> None:
    for many in (False, True):
        for step in (1, 1000):
            masker = JsonMasker(plan_for(BY_NAME), Tally(), many=many)
            cuts = list(range(0, len(text.encode()), step))
            with pytest.raises(Malformed):
                in_pieces(masker.feed, masker.finish, text.encode(), cuts)


@pytest.mark.parametrize("text", ["", " ", "\n\r\t ", "1", ' "x" ', "[]", "{}", "[[],{}]", "null", "-0.0e-0"])
def test_small_documents_pass(text: str) -> None:
    assert masked(text) == text.encode()


def test_documents_may_follow_one_another_on_lines_of_their_own() -> None:
    lines = b'{"e-mail":1}\n"x"\r\n2\n\n[{"e-mail":"y"}]\n'
    assert masked(lines) == b'{"e-mail":null}\n"x"\r\n2\n\n[{"e-mail":"***"}]\n'
    assert masked(b'\x1e{"e-mail":"a"}\n\x1e{"e-mail":"b"}\n') == b'\x1e{"e-mail":"***"}\n\x1e{"e-mail":"***"}\n'
    with pytest.raises(Malformed):
        masked(b"{} {}")
    single = JsonMasker(plan_for(BY_NAME), Tally())
    with pytest.raises(Malformed):
        single.feed(b"{}\n{}")


PATHS = {
    "/customer/email": [b'{"customer":{"email":%b}}', b'{"customer":[[{"email":%b}]]}', b'[{"customer":{"Email":%b}}]'],
    "/a/*/b": [b'{"a":{"x":{"b":%b}}}', b'{"a":[{"b":%b}]}', b'{"a":[{"x":{"b":%b}}]}'],
    "/a/*": [b'{"a":{"x":%b}}', b'{"a":[%b]}', b'{"a":[[%b]]}'],
    "/a~1b/~0": [b'{"a/b":{"~":%b}}', b'{"a\\/b":{"\\u007e":%b}}'],
    "name": [b'{"x":[{"name":%b}]}', b'{"NAME":%b}', b'{"x":"{\\"name\\":7}","name":%b}'],
    "/x/y": [b'{"x.y":%b}', b'{"x":{"y":%b}}', b'{"x[0][y]":%b}', b'{"x":{"y.z":%b}}'],
    "y": [b'{"x.y":%b}', b'{"x":{"x[y]":%b}}', b'{"y.z":%b}', b'{"a":1,"[y]":%b}'],
    "x.y": [b'{"x.Y":%b}'],
    "/": [b'{"":%b}'],
    "*": [b'{"x":%b}', b"[%b]"],
    "/*": [b'{"x":%b}', b"[%b]"],
}


@pytest.mark.parametrize(("selector", "template"), [(name, form) for name, forms in PATHS.items() for form in forms])
@pytest.mark.parametrize(
    "value", [b'"secret"', b"4711", b"true", b'{"a":"secret"}', b'["secret",[4711]]', b'"se\\u0063"']
)
def test_selectors(selector: str, template: bytes, value: bytes) -> None:
    out = masked(template % value, masking({selector: MaskKind.REDACT}))
    assert b"se" not in out
    assert b"4711" not in out
    assert b"true" not in out
    json.loads(out)


@pytest.mark.parametrize(
    ("selector", "document"),
    [
        ("/customer/email", b'{"email":1,"supplier":{"email":2},"x":{"customer":{"email":3}}}'),
        ("/a/*/b", b'{"a":{"b":1},"b":2}'),
        ("/a", b'{"b":{"a":1}}'),
        ("email", b'{"mail":1,"email2":"x","e mail":[]}'),
    ],
)
def test_what_no_selector_is_about_stays(selector: str, document: bytes) -> None:
    assert masked(document, masking({selector: MaskKind.REDACT})) == document


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (MaskKind.REDACT, b'"ada@example.com"', b'"***"'),
        (MaskKind.REDACT, b"12345678", b"null"),
        (MaskKind.REDACT, b"null", b"null"),
        (MaskKind.REDACT, b"[1]", b'"***"'),
        (MaskKind.NULL, b'"x"', b"null"),
        (MaskKind.NULL, b"[1]", b"null"),
        (MaskKind.PARTIAL, b'"ada@example.com"', b'"***@example.com"'),
        (MaskKind.PARTIAL, b'"DE89 3704"', b'"***3704"'),
        (MaskKind.PARTIAL, b'"short"', b'"***"'),
        (MaskKind.PARTIAL, b'"%b"' % (b"x" * 65), b'"***"'),
        (MaskKind.PARTIAL, b"4111111111110042", b"42"),
        (MaskKind.PARTIAL, b"1234567", b"null"),
        (MaskKind.PARTIAL, b"12345678.5", b"null"),
        (MaskKind.PARTIAL, b"{}", b'"***"'),
        (MaskKind.HASH, b"12", b"null"),
        (MaskKind.TOKENISE, b"false", b"null"),
    ],
)
def test_masks_by_kind(kind: MaskKind, value: bytes, expected: bytes) -> None:
    assert masked(b'{"v": %b}' % value, masking({"v": kind})) == b'{"v": %b}' % expected


def test_keyed_masks_are_stable_and_keep_what_they_should() -> None:
    hashed = json.loads(masked(b'[{"v": "a b"}, {"v": "a\\u0020b"}, {"v": "c"}]', masking({"v": MaskKind.HASH})))
    assert hashed[0]["v"].startswith("hash:")
    assert hashed[0] == hashed[1] != hashed[2]
    token = json.loads(masked(b'{"v": "Ab-12"}', masking({"v": MaskKind.TOKENISE})))["v"]
    assert token != "Ab-12"
    assert (token[0].isupper(), token[1].islower(), token[2], token[3:].isdigit()) == (True, True, "-", True)


@pytest.mark.parametrize(
    "document",
    [
        b'{"x": "write to ada@example.com"}',
        b'{"x": "write to ada\\u0040example.com"}',
        b'{"x": "write to \\u0061\\u0064\\u0061@example.com"}',
        b'["ada@example.com"]',
        b'"ada@example.com"',
        b'{"ada@example.com": 1}',
        b'{"\\u0061da@example.com": 1}',
        b'{"x": "{\\"y\\": \\"ada@example.com\\"}"}',
        b'{"x": "YWRhQGV4YW1wbGUuY29t"}',
        b'{"x": 4111111111111111}',
        b'{"x": 4.111111111111111e15}',
        b'{"x": 411111111111111.1E+1}',
        b"[4111111111111111]",
        b"4111111111111111",
        b'{"4111 1111 1111 1111": []}',
        b'{"x": "\\u0034111-1111-1111-1111"}',
        b'{"ssn": "123456789"}',
        b'{"ssn": 123456789}',
        b'{"ssn"  :\n "123456789"}',
        b'{"s\\u0073n": "123456789"}',
        b'{"password": "hunter2-Xy!9-plonk"}',
    ],
)
def test_detection_looks_everywhere(document: bytes) -> None:
    detecting = masking({}, "email", "credit-card", "ssn", "secret")
    found: set[bytes] = set()
    for step in (1, 2, 5, 1000):
        out = masked(document, detecting, list(range(0, len(document), step)))
        text = json.dumps(json.loads(out))
        for leak in ("ada@", "YWRh", "1111", "123456789", "e15", "hunter2"):
            assert leak not in text
        found.add(out)
    assert len(found) == 1


def test_what_is_only_reported_is_counted_and_stays() -> None:
    tally = Tally()
    reporting = Masking(version="1", catalogue=CATALOGUE, detectors={"email": DetectorMask(masked=False)})
    masker = JsonMasker(plan_for(reporting), tally)
    document = b'{"x": "ada@example.com"}'
    assert masker.feed(document) + masker.finish() == document
    assert (tally.masked_values, tally.found) == (0, {"email": 1})


def test_deep_documents_are_refused_beyond_a_bound() -> None:
    deep = json_masker.MAX_DEPTH
    assert masked("[" * deep + "]" * deep)
    with pytest.raises(Malformed, match="nested"):
        masked("[" * (deep + 1))
    with pytest.raises(Malformed, match="nested"):
        masked('{"e-mail":' * (deep + 1))


def test_documents_in_texts_are_masked_up_to_a_depth() -> None:
    document = json.dumps({"e-mail": MARKER})
    for _ in range(json_masker.MAX_INNER_DOCUMENTS):
        document = json.dumps({"x": document})
    assert MARKER not in masked(document).decode()
    assert "***" in masked(document).decode()
    with pytest.raises(BodyRefused):
        masked(json.dumps({"x": document}))


@pytest.mark.parametrize("kind", [MaskKind.REDACT, MaskKind.PARTIAL, MaskKind.NULL])
def test_long_masked_texts_are_left_out_without_being_held(kind: MaskKind) -> None:
    masker = JsonMasker(plan_for(masking({"v": kind})), Tally())
    out = masker.feed(b'{"v": "')
    for _ in range(100):
        out += masker.feed(b'\\"\\\\x\xc3\xa4' * 16_000)
        assert len(masker.held) <= json_masker.MAX_HELD_BYTES
    out += masker.feed(b'", "w": 1}') + masker.finish()
    assert out == b'{"v": %b, "w": 1}' % (b"null" if kind is MaskKind.NULL else b'"***"')


def test_long_texts_that_are_not_masked_stream() -> None:
    masker = JsonMasker(plan_for(BY_NAME), Tally())
    piece = b'\\"\\\\x\xc3\xa4\\ud83d\\ude00' * 10_000
    document = b'{"v": "' + piece * 50 + b'", "e-mail": 1}'
    out = b""
    for start in range(0, len(document), 70_001):
        out += masker.feed(document[start : start + 70_001])
        assert len(masker.held) <= json_masker.MAX_HELD_BYTES
    expected = json.loads(document)
    expected["e-mail"] = None
    assert json.loads(out + masker.finish()) == expected


@pytest.mark.parametrize("step", [30_000, 70_001, 1 << 22])
def test_long_texts_are_looked_at_in_pieces(step: int) -> None:
    filler = 'é "and" so on \\ '
    text = filler * 90_000 + "ada@example.com " + filler * 90_000 + MARKER + filler
    inner = json.dumps([{"e-mail": MARKER, "x": filler * 90_000}, {"E-MAIL": MARKER, "y": "ada@example.com"}])
    document = json.dumps({"a": text, "b": inner, "c": "x" * 3_000_000, "e-mail": inner}, ensure_ascii=False)
    out = json.loads(masked(document, DETECTING, list(range(0, len(document.encode()), step))))
    assert out["a"] == text.replace("ada@example.com", "***")
    assert json.loads(out["b"]) == [{"e-mail": "***", "x": filler * 90_000}, {"E-MAIL": "***", "y": "***"}]
    assert out["c"] == "x" * 3_000_000
    assert out["e-mail"] == "***"


@pytest.mark.parametrize(
    "text",
    [
        "{'e-mail': '%s', 'x': 1}",
        'see {"e-mail": "%s"} and',
        '```json\n{"a": {"E-Mail" : ["%s"]}}\n```',
        '{"a": 1}{"e-mail": "%s"}',
        '{"e-mail": "%s", NaN}',
        '{\\"e-mail\\": \\"%s\\"}',
        "Record(x='y', **{'e-mail' => '%s'})",
    ],
)
def test_fields_are_masked_in_texts_that_are_no_documents(text: str) -> None:
    document = json.dumps({"x": text.replace("%s", MARKER), "y": [text.replace("%s", MARKER)]})
    out = masked(document)
    assert MARKER not in out.decode()
    assert "***" in json.loads(out)["x"]
    assert "***" in json.loads(out)["y"][0]


@pytest.mark.parametrize("rest", [b"1}", b'"x"}', b"{}}"])
def test_blanks_in_a_token_do_not_lose_what_follows(rest: bytes) -> None:
    masker = JsonMasker(plan_for(BY_NAME), Tally())
    document = b'{"a":' + b" " * 3000 + rest
    out = [masker.feed(document[:3000]), *(masker.feed(document[at : at + 1]) for at in range(3000, len(document)))]
    assert b"".join(out) + masker.finish() == document
