"""The asciicast format, versions 2 and 3, as its specification says it: a reader that refuses everything else."""

import json
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

_SIZE = re.compile(r"[1-9][0-9]{0,4}x[1-9][0-9]{0,4}")
Cells = Annotated[int, Meta(ge=1, le=65_535)]


class Header2(msgspec.Struct, forbid_unknown_fields=True):
    version: Literal[2]
    width: Cells
    height: Cells
    timestamp: int | UnsetType = UNSET
    duration: float | UnsetType = UNSET
    idle_time_limit: float | UnsetType = UNSET
    command: str | UnsetType = UNSET
    title: str | UnsetType = UNSET
    env: dict[str, str] | UnsetType = UNSET
    theme: dict[str, Any] | UnsetType = UNSET


class Term(msgspec.Struct, forbid_unknown_fields=True):
    cols: Cells
    rows: Cells
    type: str | UnsetType = UNSET
    version: str | UnsetType = UNSET
    theme: dict[str, Any] | UnsetType = UNSET


class Header3(msgspec.Struct, forbid_unknown_fields=True):
    version: Literal[3]
    term: Term
    timestamp: int | UnsetType = UNSET
    idle_time_limit: float | UnsetType = UNSET
    command: str | UnsetType = UNSET
    title: str | UnsetType = UNSET
    env: dict[str, str] | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET


class Event(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    time_s: Annotated[float, Meta(ge=0)]
    code: Literal["o", "i", "m", "r", "x"]
    data: str


class Cast(msgspec.Struct):
    """``events`` have times from the start of the recording, in both versions."""

    header: Header2 | Header3
    events: list[Event]

    def of(self, code: str) -> list[str]:
        return [event.data for event in self.events if event.code == code]


def read_cast(pieces: Iterable[bytes]) -> Cast:
    """The cast. Raises ``ValueError`` for what is none."""
    text = b"".join(pieces).decode("utf-8")
    if not text.endswith("\n"):
        raise ValueError("the last line has no end")
    first, *lines = text.removesuffix("\n").split("\n")
    version = json.loads(first)["version"]
    header: Header2 | Header3 = (
        msgspec.json.decode(first, type=Header2) if version == 2 else msgspec.json.decode(first, type=Header3)
    )
    events = [msgspec.json.decode(line, type=Event) for line in lines if version == 2 or not line.startswith("#")]
    return Cast(header, list(_timed(events) if version == 3 else _checked(events)))


def _timed(events: list[Event]) -> Iterable[Event]:
    at_s = 0.0
    for place, event in enumerate(events):
        at_s += event.time_s
        if event.code == "x" and (place != len(events) - 1 or not event.data.isdigit()):
            raise ValueError("an exit that is not the end, or no status")
        yield _sound(Event(at_s, event.code, event.data))


def _checked(events: list[Event]) -> Iterable[Event]:
    before_s = 0.0
    for event in events:
        if event.time_s < before_s or event.code == "x":
            raise ValueError("times run backwards, or an event that version 2 does not have")
        before_s = event.time_s
        yield _sound(event)


def _sound(event: Event) -> Event:
    if event.code == "r" and not _SIZE.fullmatch(event.data):
        raise ValueError(f"{event.data!r} is no size")
    return event
