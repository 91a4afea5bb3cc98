"""Forms that programs send by OAuth, and errors as it has them (RFC 6749 sections 4 and 5.2).

A value is in no error: it could be a token or a code.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response

MAX_FORM_BYTES: Final = 131_072
MAX_FIELDS: Final = 200
FORM_TIMEOUT_S: Final = 15.0
_FORM: Final = "application/x-www-form-urlencoded"


class OAuthError(Exception):
    """A request that is not done. ``code`` is a registered one; the text is for the caller."""

    def __init__(
        self, code: str, description: str, status: int = 400, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(description)
        self.code = code
        self.status = status
        self.headers = dict(headers or {})


class Form:
    """The fields of a form. A field that is there twice is an error, unless its name may be repeated."""

    def __init__(self, fields: Sequence[tuple[str, str]], repeated: Collection[str] = ()) -> None:
        """Raises OAuthError."""
        self._fields: dict[str, list[str]] = {}
        for name, value in fields:
            self._fields.setdefault(name, []).append(value)
        for name, values in self._fields.items():
            if len(values) > 1 and name not in repeated:
                raise OAuthError("invalid_request", f"{name[:40]!a} is given more than once")

    def get(self, name: str) -> str:
        """The value; empty without one."""
        return self._fields.get(name, [""])[0]

    @property
    def values(self) -> dict[str, str]:
        """All fields that are there once."""
        return {name: values[0] for name, values in self._fields.items() if len(values) == 1}

    def all(self, name: str) -> tuple[str, ...]:
        """The values of a name that may be repeated, and those in one value with blanks between them."""
        return tuple(word for value in self._fields.get(name, ()) for word in value.split())

    def require(self, name: str) -> str:
        """The value. Raises OAuthError without one."""
        value = self.get(name)
        if not value:
            raise OAuthError("invalid_request", f"{name} is missing")
        return value

    def __repr__(self) -> str:
        return "Form(...)"


async def read_form(request: Request, repeated: Collection[str] = (), max_bytes: int = MAX_FORM_BYTES) -> Form:
    """The form in a request's body. Raises OAuthError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise OAuthError("invalid_request", f"send a form: Content-Type: {_FORM}")
    body = await _read(request, max_bytes)
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise OAuthError("invalid_request", f"the form is not UTF-8, or has over {MAX_FIELDS} fields") from None
    return Form(fields, repeated)


async def _read(request: Request, max_bytes: int) -> bytes:
    data = bytearray()
    try:
        async with asyncio.timeout(FORM_TIMEOUT_S):
            async for piece in request.stream():
                data += piece
                if len(data) > max_bytes:
                    close = {"Connection": "close"}
                    raise OAuthError("invalid_request", f"a form has {max_bytes} bytes at most", 413, close)
    except TimeoutError:
        raise OAuthError("invalid_request", "the form took too long", 408, {"Connection": "close"}) from None
    return bytes(data)


def answer(content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON, which nobody may keep (RFC 6749 section 5.1)."""
    kept_by_nobody = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    return Response(msgspec.json.encode(content), status, kept_by_nobody | dict(headers or {}), "application/json")


def refusal(error: OAuthError) -> Response:
    """An error as RFC 6749 section 5.2 has it."""
    content = {"error": error.code, "error_description": str(error)}
    return answer(content, error.status, error.headers)
