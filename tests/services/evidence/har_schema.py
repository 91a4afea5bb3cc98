"""HAR 1.2 as types: what must be there, and of which kind. Members of one's own begin with an underscore."""

import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

Size = Annotated[int, Meta(ge=-1)]
Time = Annotated[float, Meta(ge=0)]
OptionalTime = Annotated[float, Meta(ge=-1)]


class Named(msgspec.Struct):
    name: str
    value: str
    comment: str | UnsetType = UNSET


class Cookie(Named):
    path: str | UnsetType = UNSET
    domain: str | UnsetType = UNSET
    expires: datetime.datetime | UnsetType = UNSET
    httpOnly: bool | UnsetType = UNSET  # noqa: N815
    secure: bool | UnsetType = UNSET


class PostData(msgspec.Struct):
    mimeType: str  # noqa: N815
    params: list[Named] | UnsetType = UNSET
    text: str | UnsetType = UNSET
    comment: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.params is UNSET) == (self.text is UNSET):
            raise ValueError("params and text exclude one another")


class HarRequest(msgspec.Struct):
    method: str
    url: Annotated[str, Meta(pattern="^https?://")]
    httpVersion: str  # noqa: N815
    cookies: list[Cookie]
    headers: list[Named]
    queryString: list[Named]  # noqa: N815
    headersSize: Size  # noqa: N815
    bodySize: Size  # noqa: N815
    postData: PostData | UnsetType = UNSET  # noqa: N815
    comment: str | UnsetType = UNSET


class Content(msgspec.Struct):
    size: Annotated[int, Meta(ge=0)]
    mimeType: str  # noqa: N815
    compression: int | UnsetType = UNSET
    text: str | UnsetType = UNSET
    encoding: str | UnsetType = UNSET
    comment: str | UnsetType = UNSET


class HarResponse(msgspec.Struct):
    status: Annotated[int, Meta(ge=0, le=999)]
    statusText: str  # noqa: N815
    httpVersion: str  # noqa: N815
    cookies: list[Cookie]
    headers: list[Named]
    content: Content
    redirectURL: str  # noqa: N815
    headersSize: Size  # noqa: N815
    bodySize: Size  # noqa: N815
    comment: str | UnsetType = UNSET


class Timings(msgspec.Struct):
    send: Time
    wait: Time
    receive: Time
    blocked: OptionalTime | UnsetType = UNSET
    dns: OptionalTime | UnsetType = UNSET
    connect: OptionalTime | UnsetType = UNSET
    ssl: OptionalTime | UnsetType = UNSET
    comment: str | UnsetType = UNSET


class Entry(msgspec.Struct):
    startedDateTime: Annotated[datetime.datetime, Meta(tz=True)]  # noqa: N815
    time: Time
    request: HarRequest
    response: HarResponse
    cache: dict[str, Any]
    timings: Timings
    pageref: str | UnsetType = UNSET
    serverIPAddress: str | UnsetType = UNSET  # noqa: N815
    connection: str | UnsetType = UNSET
    comment: str | UnsetType = UNSET


class Creator(msgspec.Struct):
    name: str
    version: str
    comment: str | UnsetType = UNSET


class Log(msgspec.Struct):
    version: str
    creator: Creator
    entries: list[Entry]
    browser: Creator | UnsetType = UNSET
    pages: list[dict[str, Any]] | UnsetType = UNSET
    comment: str | UnsetType = UNSET


class Archive(msgspec.Struct):
    log: Log


def read_har(data: bytes) -> Log:
    """An archive that keeps to the format. Raises ``ValidationError``, or ``AssertionError`` for odd members."""
    archive = msgspec.json.decode(data, type=Archive)
    _known(msgspec.json.decode(data), archive)
    for entry in archive.log.entries:
        timings = entry.timings
        assert abs(entry.time - (timings.send + timings.wait + timings.receive)) < 1e-6
    return archive.log


def _known(value: Any, read: Any) -> None:
    if isinstance(read, list):
        for one, other in zip(value, read, strict=True):
            _known(one, other)
    elif isinstance(read, msgspec.Struct):
        for name, member in value.items():
            assert name in read.__struct_fields__ or name.startswith("_"), name
            _known(member, getattr(read, name, None))
