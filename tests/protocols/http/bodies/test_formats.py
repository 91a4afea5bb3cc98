"""Forms, tables, markup, scripts and texts: masked by what they are, and refused where that is uncertain."""

import csv
import html.parser
import io
import xml.etree.ElementTree as ElementTree
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.masking import Masking, MaskKind
from interlock.protocols.http.bodies.inspection import Inspection, inspected_headers, open_inspection
from interlock.protocols.http.bodies.refusal import BodyRefused
from tests.protocols.http.bodies.maskings import masking

FIELDS = masking({"email": MaskKind.REDACT, "/a/b": MaskKind.REDACT, "nothing": MaskKind.NULL})
DETECTING = masking({"email": MaskKind.REDACT}, "email", "ssn", "credit-card", "iban", "phone", "secret")
MARKER = "Kx7Marker9942"


def masked(kind: str, body: str | bytes, by: Masking = FIELDS, step: int = 1 << 20) -> str:
    headers = ((b"content-type", kind.encode()),) if kind else ()
    inspection = open_inspection(headers, by, 1 << 30)
    assert isinstance(inspection, Inspection), inspection
    data = body if isinstance(body, bytes) else body.encode()
    pieces = [inspection.feed(data[at : at + step]) for at in range(0, len(data), step)]
    out = b"".join([*pieces, inspection.finish()]).decode()
    assert MARKER not in out
    return out


def in_all_cuts(kind: str, body: str | bytes, by: Masking = FIELDS) -> str:
    found = {masked(kind, body, by, step) for step in (1, 2, 3, 7, 1 << 20)}
    assert len(found) == 1, found
    return found.pop()


# --------------------------------------------------------------------------------------------------------- forms

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"x=1+2&email={MARKER}&y=%20", "x=1+2&email=***&y=%20"),
        (f"%45mail={MARKER};x=1", "%45mail=***;x=1"),
        (f"+email+={MARKER}&email&email=", "+email+=***&email&email="),
        (f"a[0][email]={MARKER}&a.email={MARKER}", "a[0][email]=***&a.email=***"),
        (f"a[b]={MARKER}&b=1", "a[b]=***&b=1"),
        (f"nothing={MARKER}", "nothing="),
        (f"x=%7B%22email%22%3A%22{MARKER}%22%7D", "x=%7B%22email%22%3A+%22***%22%7D".replace("+", "")),
        ("", ""),
    ],
)
def test_forms(body: str, expected: str) -> None:
    assert in_all_cuts(FORM, body) == expected


def test_detection_in_forms() -> None:
    body = "q=ada%40example.com&ssn=123456789&ada@example.com=1&card=4111+1111+1111+1111"
    assert in_all_cuts(FORM, body, DETECTING) == "q=***&ssn=***&***=1&card=***"


@given(st.lists(st.tuples(st.sampled_from(["email", "EMAIL ", "x", "é&="]), st.text(max_size=8)), max_size=6))
@settings(max_examples=60, deadline=None)
def test_random_forms(pairs: list[tuple[str, str]]) -> None:
    out = parse_qsl(masked(FORM, urlencode(pairs)), keep_blank_values=True)
    assert out == [(name, "***" if name.strip().lower() == "email" and value else value) for name, value in pairs]


@pytest.mark.parametrize("body", [b"a=%FF", b"%C3=1"])
def test_forms_that_are_not_utf8_are_refused(body: bytes) -> None:
    with pytest.raises(BodyRefused):
        masked(FORM, body)


# -------------------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"id,email,x\r\n1,{MARKER},y\r\n2,,z\r\n", "id,email,x\r\n1,***,y\r\n2,,z\r\n"),
        (f'id;" EMAIL "\n1;"{MARKER}\n""x"""', 'id;" EMAIL "\n1;***'),
        (f"id\temail\n1\t{MARKER}\n", "id\temail\n1\t***\n"),
        (f"id|email\r1|{MARKER}\r", "id|email\r1|***\r"),
        (f"email\n{MARKER}\n", "email\n***\n"),
        (f"sep=;\nid;email\n1,5;{MARKER}\n", "sep=;\nid;email\n1,5;***\n"),
        (f"id,user.email,nothing\n\n1,{MARKER},{MARKER}", "id,user.email,nothing\n\n1,***,"),
        ('id,x\n1,"a,""b"\n', 'id,x\n1,"a,""b"\n'),
    ],
)
@pytest.mark.parametrize("kind", ["text/csv", "text/csv; header=absent", "application/csv"])
def test_tables(kind: str, body: str, expected: str) -> None:
    assert in_all_cuts(kind, body) == expected


@pytest.mark.parametrize(
    "body",
    [
        f'id,email\n1,x"y,{MARKER}\n',
        f'id,email,x\n1,"a\\",{MARKER}","z"\n',
        f"id,email\n1,2,{MARKER}\n",
        f'id,email\n1,"{MARKER}',
        f"id,email,x;email\n1,{MARKER}\n",
        f"id,email\n1,\0{MARKER}\n",
    ],
)
def test_tables_that_could_be_read_in_two_ways_are_refused(body: str) -> None:
    with pytest.raises(BodyRefused):
        masked("text/csv", body)


def test_a_table_declared_as_text_is_masked() -> None:
    assert in_all_cuts("text/plain", f"id,email\n1,{MARKER}\n") == "id,email\n1,***\n"


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@given(st.lists(st.lists(cells, min_size=3, max_size=3), max_size=5), st.sampled_from(",;\t|"))
@settings(max_examples=80, deadline=None)
def test_random_tables(rows: list[list[str]], delimiter: str) -> None:
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([["id", "Email", "x"], *rows])
    out = masked("text/csv", written.getvalue())
    read = list(csv.reader(io.StringIO(out, newline=""), delimiter=delimiter))
    assert read[1:] == [[one, "***" if two.strip(" ") else two, three] for one, two, three in rows] or rows == []


def test_detection_in_tables() -> None:
    body = 'id,ssn,note\n1,123456789,"ada@example.com, see"\n'
    assert in_all_cuts("text/csv", body, DETECTING) == 'id,ssn,note\n1,***,"***, see"\n'


# -------------------------------------------------------------------------------------------------------- markup


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"<r><email>{MARKER}</email><x>1</x></r>", "<r><email>***</email><x>1</x></r>"),
        (f"<r><n:EMail xmlns:n='u'>{MARKER}</n:EMail></r>", "<r><n:EMail xmlns:n='u'>***</n:EMail></r>"),
        (f"<r email='{MARKER}' x='1'/>", '<r email="***" x="1"/>'),
        (f"<r><email k='{MARKER}'><x>{MARKER}</x><email/></email></r>", '<r><email k="***">***</email></r>'),
        (f"<a><b>{MARKER}</b></a>", "<a><b>***</b></a>"),
        (f"<r><email><![CDATA[{MARKER}]]></email></r>", "<r><email>***</email></r>"),
        (f"<r><f name='email'>{MARKER}</f></r>", "<r><f name='email'>***</f></r>"),
        (f"<r><!-- {MARKER} -->x</r>", "<r>x</r>"),
        (f"<r><nothing>{MARKER}</nothing></r>", "<r><nothing></nothing></r>"),
        (f'<r>{{"email": "{MARKER}"}}</r>', "<r>{&quot;email&quot;: &quot;***&quot;}</r>"),
        ("<r><email/><email></email>a &lt; b &#x41;</r>\n", "<r><email/><email></email>a &lt; b &#x41;</r>\n"),
    ],
)
@pytest.mark.parametrize("kind", ["application/xml", "text/xml", "application/atom+xml"])
def test_xml(kind: str, body: str, expected: str) -> None:
    assert in_all_cuts(kind, body) == expected
    ElementTree.fromstring(expected)


@pytest.mark.parametrize(
    "body",
    [
        "<!DOCTYPE r [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><r>&e;</r>",
        "<!DOCTYPE r><r/>",
        "<r>&unknown;</r>",
        "<r>&amp</r>",
        "<r><a></r></a>",
        "<r>",
        "<r/><r/>",
        "<r/>text",
        "text",
        "<r a=1/>",
        "<r a='1' a='2'/>",
        "<r a='<'/>",
        "<r><a b='></a></r>",
        "<r>\0</r>",
        "<r><!-- a -- b --></r>",
        "<r><!-- </r>",
        "<r><![CDATA[ </r>",
        "<r>a < b</r>",
        "<r></r x='1'>",
        "<a>" * 513,
    ],
)
def test_what_is_not_simple_xml_is_refused(body: str) -> None:
    for step in (1, 1 << 20):
        with pytest.raises(BodyRefused):
            masked("application/xml", body, step=step)


def test_xml_declares_what_it_is() -> None:
    body = f'<?xml version="1.0" encoding="UTF-16"?><r><email>{MARKER}</email>é</r>'.encode("utf-16")
    assert in_all_cuts("text/xml", body) == '<?xml version="1.0" encoding="UTF-8"?><r><email>***</email>é</r>'
    latin = f'<?xml version="1.0" encoding="ISO-8859-1"?><r><email>{MARKER}</email>é</r>'.encode("latin-1")
    assert in_all_cuts("application/xml", latin) == '<?xml version="1.0" encoding="UTF-8"?><r><email>***</email>é</r>'
    with pytest.raises(BodyRefused):
        masked("application/xml", '<?xml version="1.0" encoding="UTF-7"?><r/>')


def test_detection_in_markup() -> None:
    body = '<r a="ada@example.com"><ssn>123456789</ssn>ada&#64;example.com &amp; x<![CDATA[4111111111111111]]></r>'
    assert in_all_cuts("text/xml", body, DETECTING) == '<r a="***"><ssn>***</ssn>*** &amp; x***</r>'


PAGE = f"""<!DOCTYPE html><html><head><meta charset=shift_jis><title>x &amp; y</title>
<script>var s = {{"email": "{MARKER}"}}; if (a<b) f()</script>
<script type="application/json">{{"Email": "{MARKER}", "y": 1}}</script>
<style>p > a {{}}</style></head><body><!-- {MARKER} --><p>a < b<br>c<input name=email value={MARKER}>
<table><tr><td class="x email">{MARKER}<td>other<tr><td>x</table><div itemprop=email>a<b>{MARKER}</b><div>q</div>l</div>
<span data-email='{MARKER}'>rest</span><textarea name="email">{MARKER}</textarea></body></html>"""


def test_html() -> None:
    out = in_all_cuts("text/html", PAGE)
    assert '<meta charset="utf-8">' in out
    assert '<script type="application/json">{"Email": "***", "y": 1}</script>' in out
    assert 'var s = {"email": "***"}; if (a<b) f()</script>' in out
    assert '<td class="x email">***<td>other<tr><td>x</table>' in out
    assert "<div itemprop=email>***</div>" in out
    assert "rest</span>" in out
    html.parser.HTMLParser().feed(out)


@pytest.mark.parametrize(
    "body",
    [
        '<p a=x"y>z</p>',
        "<svg><style><email>x</email></style></svg>",
        "<svg><script><email>x</email></script></svg>",
        "<noscript><p title='</noscript><email>x</email>'></noscript>",
        "<textarea><email>x</email></textarea>",
        "<plaintext><email>x",
        "<xmp><email>x</email></xmp>",
        "<p><![CDATA[ <email>x</email> ]]>",
        "<!--><email>x</email>-->",
        "<p></ email>",
        "<p",
        "<p a='",
        "<script>x",
    ],
)
def test_html_that_is_read_in_several_ways_is_refused(body: str) -> None:
    for step in (1, 1 << 20):
        with pytest.raises(BodyRefused):
            masked("text/html", body, step=step)


# ------------------------------------------------------------------------------------------- content goes first


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "text/html", "text/javascript", "application/json", "text/csv", "text/x"]
)
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f'{{"email": "{MARKER}"}}', '{"email": "***"}'),
        (f'\n [{{"x": 1}}, {{"email": "{MARKER}"}}]', '\n [{"x": 1}, {"email": "***"}]'),
        (f'{{"x": 1}}\n{{"email": "{MARKER}"}}\n', '{"x": 1}\n{"email": "***"}\n'),
        (f')]}}\',\n{{"email": "{MARKER}"}}', ')]}\',\n{"email": "***"}'),
        (f'while(1);{{"email": "{MARKER}"}}', 'while(1);{"email": "***"}'),
        (f'for (;;);[{{"email": "{MARKER}"}}]', 'for (;;);[{"email": "***"}]'),
        (f'{{}}&&{{"email": "{MARKER}"}}', '{}&&{"email": "***"}'),
        (f'/**/cb_1({{"email": "{MARKER}"}});\n', '/**/cb_1({"email": "***"});\n'),
        (f'a.b["c"]([{{"email": "{MARKER}"}}])', 'a.b["c"]([{"email": "***"}])'),
        (f"<r><email>{MARKER}</email></r>", "<r><email>***</email></r>"),
    ],
)
def test_what_a_body_is_goes_before_what_it_is_declared_as(kind: str, body: str, expected: str) -> None:
    assert in_all_cuts(kind, body) == expected


@pytest.mark.parametrize(
    "body", [f'{{"email": "{MARKER}"', f'{{"a":1}} {{"email": "{MARKER}"}}', f'cb({{"email": "{MARKER}"}}']
)
def test_json_declared_as_text_has_to_be_whole(body: str) -> None:
    with pytest.raises(BodyRefused):
        masked("text/plain", body)


@pytest.mark.parametrize(
    "body", ["[INFO] all is well", "{x} and y", '"quoted" words', "[1] See there.", "no", "(x)", "a(b)", " "]
)
def test_texts_that_begin_like_json_stay_texts(body: str) -> None:
    assert in_all_cuts("text/plain", body) == body


def test_texts_have_fields_in_quotes_masked_and_what_is_detected() -> None:
    body = f"Read {{'email': '{MARKER}'}} or write to ada@example.com, ssn: 123-45-6789"
    assert in_all_cuts("text/plain", body, DETECTING) == "Read {'email': '***'} or write to ***, ssn: ***"


@pytest.mark.parametrize(
    "kind",
    [
        "application/octet-stream",
        "application/x-protobuf",
        "application/msgpack",
        "application/grpc",
        "application/pdf",
        "application/zip",
        "image/png",
        "audio/mpeg",
        "font/woff2",
        "multipart/mixed; boundary=x",
        "multipart/byteranges; boundary=x",
        "multipart/form-data",
        "application/x-unknown",
        "application/yaml",
        "text/yaml",
        "message/http",
    ],
)
def test_other_types_cannot_be_inspected(kind: str) -> None:
    reason = open_inspection(((b"content-type", kind.encode()),), FIELDS, 1 << 20)
    assert isinstance(reason, str)


def test_yaml_is_a_text_where_no_field_is_masked() -> None:
    assert in_all_cuts("text/yaml", "a: ada@example.com\n", masking({}, "email")) == "a: ***\n"


# ----------------------------------------------------------------------------------------------------- multipart

MULTIPART = "multipart/form-data; boundary=b1"


def part(head: str, body: str) -> str:
    return f"--b1\r\n{head}\r\n\r\n{body}\r\n"


def test_multipart() -> None:
    body = (
        part('Content-Disposition: form-data; name="x"', "1\r\n--b\r\n2")
        + part('content-disposition: form-data; name="Email"', MARKER)
        + part(
            'content-disposition: form-data; name="f"; filename="a"\r\ncontent-type: application/json',
            f'{{"email": "{MARKER}"}}',
        )
        + "--b1--\r\n"
    )
    assert in_all_cuts(MULTIPART, body) == (
        part('content-disposition: form-data; name="x"', "1\r\n--b\r\n2")
        + part('content-disposition: form-data; name="Email"', "***")
        + part(
            'content-disposition: form-data; name="f"; filename="a"\r\ncontent-type: application/json; charset=utf-8',
            '{"email": "***"}',
        )
        + "--b1--\r\n"
    )


@pytest.mark.parametrize(
    "body",
    [
        part('content-disposition: form-data; name="f"; filename="x.png"\r\ncontent-type: image/png', "x") + "--b1--",
        part('content-disposition: form-data; name="f"\r\ncontent-transfer-encoding: base64', "x") + "--b1--",
        part("content-disposition: form-data", "x") + "--b1--",
        part('content-disposition: form-data; name="x"; name="email"', "x") + "--b1--x",
        part("content-disposition: form-data; name*=utf-8''email", "x") + "--b1--",
        part('content-disposition: form-data; name="x"', "x"),
        "x--b1\r\n",
        "preamble\r\n" + part('content-disposition: form-data; name="x"', "x") + "--b1--",
        part('content-disposition: form-data; name="x"', "x") + "--b1--\r\nemail=x",
        part("x", "x") + "--b1--",
        "--b1x\r\n",
    ],
)
def test_multipart_that_is_uncertain_is_refused(body: str) -> None:
    for step in (1, 1 << 20):
        with pytest.raises(BodyRefused):
            masked(MULTIPART, body, step=step)


# --------------------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    ("kind", "beginning", "filler"),
    [
        (FORM, "x=", "y"),
        ("text/csv", 'a,b\n"', "\n"),
        ("text/csv", "a,b\n", "y"),
        ("text/html", "<p>", "y"),
        ("text/html", "<p a='", ">"),
        ("application/xml", "<r><!--", "-"),
        ("application/json", '{"', "y"),
        ("application/json", '{"a":', " "),
        ("application/json", "[1", "1"),
        ("text/event-stream", "data: ", "y"),
        (MULTIPART, "--b1\r\n", "y"),
    ],
)
def test_what_never_ends_is_refused(kind: str, beginning: str, filler: str) -> None:
    inspection = open_inspection(((b"content-type", kind.encode()),), DETECTING, 1 << 40)
    assert isinstance(inspection, Inspection)
    inspection.feed(beginning.encode())
    piece = filler.encode() * (1 << 18)
    with pytest.raises(BodyRefused):
        [inspection.feed(piece) for _ in range(64)]


def test_the_type_says_utf8() -> None:
    for kind in ("text/html; charset=iso-8859-1", "text/csv", "text/plain;charset=utf-16le"):
        headers = ((b"content-type", kind.encode()),)
        inspection = open_inspection(headers, FIELDS, 1000)
        assert isinstance(inspection, Inspection)
        name = kind.partition(";")[0].encode()
        assert inspected_headers(headers, inspection) == ((b"content-type", name + b"; charset=utf-8"),)


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("application/json", f'{{"a": {{"b": "{MARKER}"}}, "c": 1}}', '{"a": "***", "c": null}'),
        ("application/json", f'["{MARKER}", 4711]', '["***", null]'),
        ("application/json", f'"{MARKER}"', '"***"'),
        ("application/json", "4711\n4712", "null\nnull"),
        ("text/plain", f"x {MARKER}", "***"),
        ("text/plain", "", ""),
        ("text/yaml", f"a: {MARKER}", "***"),
        ("text/event-stream", f'event: x\ndata: {MARKER}\n\ndata: {{"a": 1}}\n\ndata: 1\n\n', None),
        ("text/csv", f"a,b\n{MARKER},2\n", "a,b\n***,***\n"),
        (FORM, f"a={MARKER}&b=2", "a=***&b=***"),
        ("text/xml", f"<r x='{MARKER}'><b>{MARKER}</b></r>", '<r x="***">***</r>'),
        ("text/html", f"<p>{MARKER}</p><p>x</p>", "<p>***</p><p>***</p>"),
        (MULTIPART, part('content-disposition: form-data; name="x"', MARKER) + "--b1--\r\n", None),
    ],
)
def test_a_mask_on_everything_leaves_no_value(kind: str, body: str, expected: str | None) -> None:
    everything = masking({"*": MaskKind.REDACT})
    out = in_all_cuts(kind, body, everything)
    assert expected is None or out == expected
    assert "4711" not in out
    assert ": 1" not in out
