"""What policy can read of a form: its fields and values, in the words of ``json_facts``.

Reading is strict: what servers would read differently has no facts.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from interlock.protocols.http.dialects.json_facts import BodyFacts, BodyRejected, FactNotes, escaped

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_BOUNDARY_PARAMETER: Final = re.compile(rb';\s*boundary=(?:"([^"\\]*)"|([^\s;"]+))', re.IGNORECASE)
_DISPOSITION: Final = re.compile(rb'form-data((?:;\s*[A-Za-z*]+=(?:"[^"]*"|[^";\s]+))*)', re.IGNORECASE)
_PARAMETER: Final = re.compile(rb';\s*([A-Za-z*]+)=(?:"([^"]*)"|([^";\s]+))')


def form_pairs(form: bytes) -> list[tuple[str, str]]:
    """Names and values of ``application/x-www-form-urlencoded`` (WHATWG URL, 5). Raises ``BodyRejected``."""
    if b";" in form:
        raise BodyRejected("The form has a semicolon that is not encoded, which servers read differently.")
    if _BAD_ESCAPE.search(form):
        raise BodyRejected("The form has a percent sign without two hexadecimal digits behind it.")
    pairs = (pair.partition(b"=") for pair in form.split(b"&") if pair)
    return [(_decoded(name), _decoded(value)) for name, _, value in pairs]


def form_facts(form: bytes) -> BodyFacts:
    """The facts of ``application/x-www-form-urlencoded``. Raises ``BodyRejected``."""
    notes = FactNotes()
    for name, value in form_pairs(form):
        _note(notes, name, value)
    return notes.facts()


def multipart_facts(body: bytes, content_type: bytes) -> BodyFacts:
    """The facts of ``multipart/form-data`` (RFC 7578); of files only the field. Raises ``BodyRejected``."""
    notes = FactNotes()
    for head, content in _parts(body, _boundary(content_type)):
        parameters = _disposition(head)
        name = _text(parameters[b"name"])
        if b"filename" in parameters or b"filename*" in parameters:
            notes.field(f"/{escaped(name)}")
        else:
            _note(notes, name, content.decode(errors="replace"))
    return notes.facts()


def _note(notes: FactNotes, name: str, value: str) -> None:
    path = f"/{escaped(name)}"
    notes.field(path)
    notes.value(path, value)


def _decoded(text: bytes) -> str:
    return _text(unquote_to_bytes(text.replace(b"+", b" ")))


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BodyRejected("The form is not UTF-8.") from None


def _boundary(content_type: bytes) -> bytes:
    found = _BOUNDARY_PARAMETER.findall(content_type)
    boundary = found[0][0] or found[0][1] if len(found) == 1 else b""
    if not _BOUNDARY.fullmatch(boundary.decode("latin-1")):
        raise BodyRejected("The content type of the form has no boundary, or not exactly one.")
    return boundary


def _parts(body: bytes, boundary: bytes) -> list[tuple[bytes, bytes]]:
    """Head and content of each part (RFC 2046, 5.1.1), with nothing in front of the first."""
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if len(pieces) < 2 or pieces[0] or not pieces[-1].startswith(b"--") or pieces[-1].rstrip(b"\r\n") != b"--":
        raise BodyRejected("The form does not keep to its boundary.")
    parts = []
    for piece in pieces[1:-1]:
        head, separator, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if not piece.startswith(b"\r\n") or not separator:
            raise BodyRejected("The form has a part without a head.")
        parts.append((head, content))
    return parts


def _disposition(head: bytes) -> dict[bytes, bytes]:
    """The parameters of the one Content-Disposition of a part, which is ``form-data`` and has a name."""
    lines = [line.partition(b":") for line in head.split(b"\r\n")]
    found = [value.strip() for name, _, value in lines if name.lower() == b"content-disposition"]
    match = _DISPOSITION.fullmatch(found[0]) if len(found) == 1 else None
    if match is None:
        raise BodyRejected("The form has a part whose Content-Disposition is not that of a form.")
    pairs = [(name.lower(), quoted or bare) for name, quoted, bare in _PARAMETER.findall(match[1])]
    parameters = dict(pairs)
    if b"name" not in parameters or len(parameters) != len(pairs):
        raise BodyRejected("The form has a part without a name, or with two.")
    return parameters
