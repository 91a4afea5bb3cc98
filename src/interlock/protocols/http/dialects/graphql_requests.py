"""How GraphQL comes in a request: as JSON, alone or in a batch, as a form, as the document itself, or in the URL.

Whatever could make a server execute another document than the one that is read here is rejected: parameters in two
places, or twice in one, and documents that the server is to find by their id.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from interlock.protocols.http.dialects.base import Request
from interlock.protocols.http.dialects.body_facts import FORM, MULTIPART, decoded_body, is_json, require_utf_8
from interlock.protocols.http.dialects.form_facts import form_pairs
from interlock.protocols.http.dialects.json_facts import BodyRejected, parse_json
from interlock.protocols.http.dialects.plain import as_php_reads

MAX_BATCH: Final = 100
_SPELLED: Final = {name.casefold(): name for name in ("query", "operationName", "variables", "extensions")}
_STORED: Final = frozenset(
    {"documentid", "document_id", "docid", "doc_id", "queryid", "query_id", "persistedquery", "hash"}
)
"""Names under which servers take the id of a document that they have."""


class GraphqlQuestion(msgspec.Struct, frozen=True):
    """A document, and the name of the operation in it that is to be executed."""

    document: str
    operation: str | None


def questions(request: Request, stored: Mapping[str, str]) -> tuple[GraphqlQuestion, ...]:
    """What is to be executed, in order; nothing when the request is none of GraphQL.

    ``stored`` are the documents that a client may name, by their SHA-256 in hexadecimal. Raises ``BodyRejected``.
    """
    if request.method == "OPTIONS":
        return ()
    in_url = _parameters(form_pairs(request.query.encode()))
    if request.method in ("GET", "HEAD"):
        if request.has_body:
            raise BodyRejected("A GraphQL request by GET has no body.")
        return (_question(in_url, stored),) if in_url else ()
    if in_url:
        raise BodyRejected("A GraphQL request has its parameters in the body, or by GET in the URL, and not in both.")
    return _in_body(request, stored)


def _in_body(request: Request, stored: Mapping[str, str]) -> tuple[GraphqlQuestion, ...]:
    kind, body = request.content_type, decoded_body(request)
    if kind == MULTIPART:
        raise BodyRejected("GraphQL in a multipart form is not read; send application/json, and files by other means.")
    require_utf_8(request)
    if body is None:
        raise BodyRejected("The request has no body, or one that is longer than what is read before a decision.")
    if is_json(kind):
        return _in_json(parse_json(body), stored)
    if kind == FORM:
        return (_question(_parameters(form_pairs(body)), stored),)
    if kind == "application/graphql":
        return (GraphqlQuestion(_text(body), None),)
    raise BodyRejected(
        "GraphQL comes as application/json, application/graphql or a form; this is another content type."
    )


def _in_json(value: object, stored: Mapping[str, str]) -> tuple[GraphqlQuestion, ...]:
    asked = value if isinstance(value, list) else [value]
    if not 1 <= len(asked) <= MAX_BATCH:
        raise BodyRejected(f"A batch of GraphQL requests has from 1 to {MAX_BATCH} of them.")
    return tuple(_question(_members(member), stored) for member in asked)


def _members(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise BodyRejected("A GraphQL request is a JSON object, or an array of them.")
    return _parameters(list(value.items()))


def _parameters(pairs: list[tuple[str, str]] | list[tuple[str, object]]) -> Mapping[str, object]:
    """Those parameters that matter, by their names, with which some servers are freer than others."""
    found: dict[str, object] = {}
    for name, value in pairs:
        folded = as_php_reads(name).casefold()
        if folded not in _SPELLED and folded not in _STORED:
            continue
        if folded in found:
            raise BodyRejected(f"The GraphQL request has the parameter {folded!r} twice.")
        if _SPELLED.get(folded, name) != name:
            raise BodyRejected(f"The GraphQL request has a parameter that is almost {_SPELLED[folded]!r}.")
        found[folded] = value
    return found


def _question(parameters: Mapping[str, object], stored: Mapping[str, str]) -> GraphqlQuestion:
    operation = parameters.get("operationname")
    if not isinstance(operation, str | None):
        raise BodyRejected("operationName of a GraphQL request is a string.")
    return GraphqlQuestion(_document(parameters, stored), operation or None)


def _document(parameters: Mapping[str, object], stored: Mapping[str, str]) -> str:
    digest = _persisted(parameters.get("extensions"))
    document = parameters.get("query")
    if document is None and digest is not None and digest in stored:
        document = stored[digest]
    if not isinstance(document, str):
        why = "names a document that the gateway does not know" if _names_document(parameters) else "has no document"
        raise BodyRejected(f"The GraphQL request {why}; send the document itself, as query.")
    known = digest is None or digest == hashlib.sha256(document.encode(errors="replace")).hexdigest()
    if not known or not _STORED.isdisjoint(parameters):
        raise BodyRejected("The GraphQL request has a document and names another one; send the document alone.")
    return document


def _names_document(parameters: Mapping[str, object]) -> bool:
    return _persisted(parameters.get("extensions")) is not None or not _STORED.isdisjoint(parameters)


def _persisted(extensions: object) -> str | None:
    """The id in ``extensions.persistedQuery``, empty when there is one that is not understood."""
    if isinstance(extensions, str):
        extensions = parse_json(extensions.encode()) if extensions else None
    if extensions is None:
        return None
    if not isinstance(extensions, dict):
        raise BodyRejected("extensions of a GraphQL request is an object.")
    named = {name: value for name, value in extensions.items() if name.casefold() == "persistedquery"}
    if not named:
        return None
    persisted = named.get("persistedQuery")
    digest = persisted.get("sha256Hash") if isinstance(persisted, dict) and len(named) == 1 else None
    return digest if isinstance(digest, str) else ""


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise BodyRejected("The GraphQL document is not UTF-8.") from None
