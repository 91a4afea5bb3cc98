"""From a client's packet to what it asks for: an operation to decide on, and what goes to the target when permitted.

Reading a request may need questions to the target: where its names lead. What goes on is written anew, with the names
that were decided on. READ, WRITE, READDIR and CLOSE are not read here: they belong to the operation that has opened
their handle.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from interlock.core.operation import Meaning
from interlock.core.printable import one_line
from interlock.protocols.ssh.sftp import extensions, wire
from interlock.protocols.ssh.sftp.answers import Status
from interlock.protocols.ssh.sftp.attributes import Attributes, read_attributes
from interlock.protocols.ssh.sftp.meanings import (
    LIST,
    READ,
    REMOVE,
    WRITE,
    Use,
    meaning_of,
    refused_meaning,
    said,
    used,
)
from interlock.protocols.ssh.sftp.names import Names, UnclearName, text_of
from interlock.protocols.ssh.sftp.places import Asking, Place, Question, entry, followed, pointed_at
from interlock.protocols.ssh.sftp.wire import Fields, Malformed, OpenFlag, PacketType, StatusCode, string


class Opened(Protocol):
    """What is known of an open handle."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def can_read(self) -> bool: ...

    @property
    def can_write(self) -> bool: ...

    def scatter(self) -> None:
        """The target writes to it by itself."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a handle is opened for. ``names`` are the file's."""

    names: tuple[str, ...]
    can_read: bool = False
    can_write: bool = False
    appends: bool = False
    directory: bool = False


@dataclass(frozen=True, slots=True)
class Intent:
    """A request that has been read. ``text`` says it in a line.

    When it is permitted, ``scatters`` is written to by the target itself and ``forward`` goes to it; without that
    ``answer`` goes to the client. ``expects`` is the type of the target's. Without a meaning
    there is nothing to decide on: the gateway answers by itself.
    """

    meaning: Meaning | None = None
    text: str = ""
    forward: bytes = b""
    expects: PacketType = PacketType.STATUS
    answer: bytes = b""
    opening: Opening | None = None
    scatters: Opened | None = None


_ANSWERS: Final[Mapping[int | bytes, PacketType]] = {
    PacketType.OPEN: PacketType.HANDLE,
    PacketType.OPENDIR: PacketType.HANDLE,
    PacketType.LSTAT: PacketType.ATTRS,
    PacketType.STAT: PacketType.ATTRS,
    PacketType.READLINK: PacketType.NAME,
    extensions.STATVFS: PacketType.EXTENDED_REPLY,
    extensions.USERS_GROUPS: PacketType.EXTENDED_REPLY,
}
"""What a request is answered with when it succeeds; with a status where nothing else is said."""

Locate = Callable[[str], Asking[Place]]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A request about one name. ``follows`` tells where a link in its last place matters."""

    words: str
    action: str
    locate: Locate
    has_attributes: bool = False


_ABOUT_ONE_NAME: Final[Mapping[int | bytes, _Kind]] = {
    PacketType.LSTAT: _Kind("look up {} itself", LIST, entry),
    PacketType.STAT: _Kind("look up {}", LIST, followed),
    PacketType.OPENDIR: _Kind("list {}", LIST, followed),
    PacketType.READLINK: _Kind("read the link {}", LIST, entry),
    PacketType.REMOVE: _Kind("remove {}", REMOVE, entry),
    PacketType.RMDIR: _Kind("remove the directory {}", REMOVE, entry),
    PacketType.MKDIR: _Kind("make the directory {}", WRITE, entry, has_attributes=True),
    PacketType.SETSTAT: _Kind("change {}", WRITE, followed, has_attributes=True),
    extensions.LSETSTAT: _Kind("change {} itself", WRITE, entry, has_attributes=True),
    extensions.STATVFS: _Kind("look up the file system of {}", LIST, followed),
}


class RequestReader:
    """Reads the requests of one channel. ``names`` and ``offered`` are known once the target has answered."""

    def __init__(self, login: str, handles: Mapping[bytes, Opened]) -> None:
        self._login: Final = login
        self._handles: Final = handles
        self.names = Names()
        self.offered: Collection[bytes] = ()

    def read(self, packet: bytes) -> Asking[Intent]:
        """What a packet asks for, with the questions that have to be answered first. Raises ``Malformed``."""
        fields = Fields(packet)
        kind = fields.string() if packet[4] == PacketType.EXTENDED else packet[4]
        request = _Request(packet, kind, fields)
        read = _READERS.get(request.kind)
        if read is None or (isinstance(kind, bytes) and kind not in self.offered):
            return Intent(answer=wire.status(request.identifier, StatusCode.OP_UNSUPPORTED))
        try:
            found = read(self, request)
            return found if isinstance(found, Intent) else (yield from found)
        except UnclearName as unclear:
            text, why = f"{request.verb.lower()} {request.shown}", str(unclear)
            answer = wire.status(request.identifier, StatusCode.FAILURE, why)
            return Intent(refused_meaning(request.verb, text, why, self._login), text, answer=answer)

    # ------------------------------------------------------------ names

    def _one_name(self, request: "_Request") -> Asking[Intent]:
        kind = _ABOUT_ONE_NAME[request.kind]
        written = request.fields.string()
        attributes = read_attributes(request.fields) if kind.has_attributes else None
        request.fields.end()
        place = yield from kind.locate(self.names.read(written))
        text = kind.words.format(said(place))
        rest, grants = b"", False
        if attributes is not None:
            rest, grants = attributes.encoded, _grants(attributes, request.changes)
            text += _to(attributes) if request.changes else _with(attributes)
        opening = Opening(place.names, directory=True) if request.kind == PacketType.OPENDIR else None
        uses = [used(kind.action, place, grants=grants)]
        return self._intent(request, text, uses, [place], place.sent + rest, opening)

    def _open(self, request: "_Request") -> Asking[Intent]:
        fields = request.fields
        written, flags = fields.string(), fields.u32()
        attributes = read_attributes(fields)
        fields.end()
        if flags & ~wire.ALL_OPEN_FLAGS:
            raise Malformed(f"it has flags that version 3 does not know ({flags:#x})")
        wanted = OpenFlag(flags)
        place, wanted = yield from self._opened_place(self.names.read(written), wanted)
        writes = bool(wanted & ~(OpenFlag.READ | OpenFlag.EXCLUSIVE))
        reads = OpenFlag.READ in wanted or OpenFlag.WRITE not in wanted
        grants = _grants(attributes, changes=False)
        uses = [used(READ, place)] * reads + [used(WRITE, place, grants=grants)] * writes
        text = f"open {said(place)} for {_purposes(wanted, reads, writes)}{_with(attributes)}"
        opening = Opening(place.names, reads, OpenFlag.WRITE in wanted, OpenFlag.APPEND in wanted)
        sent = place.sent + wire.u32(wanted) + attributes.encoded
        return self._intent(request, text, uses, [place], sent, opening)

    def _opened_place(self, name: str, wanted: OpenFlag) -> Asking[tuple[Place, OpenFlag]]:
        """Where a name leads for this way of opening it.

        What is not there can be made in a directory that is; then it must not be there, not even as a link.
        """
        if OpenFlag.CREATE in wanted and OpenFlag.EXCLUSIVE in wanted:
            return (yield from entry(name)), wanted
        place = yield from followed(name)
        if place.real is None and OpenFlag.CREATE in wanted:
            made = yield from entry(name)
            if made.real is not None:
                return made, wanted | OpenFlag.EXCLUSIVE
        return place, wanted

    def _rename(self, request: "_Request") -> Asking[Intent]:
        old, new = request.two_strings()
        old_place = yield from entry(self.names.read(old))
        new_place = yield from entry(self.names.read(new))
        uses = [used(REMOVE, old_place), used(WRITE, new_place, holds=True)]
        text = f"rename {said(old_place)} to {said(new_place)}"
        return self._intent(request, text, uses, [old_place, new_place], old_place.sent + new_place.sent)

    def _hardlink(self, request: "_Request") -> Asking[Intent]:
        old, new = request.two_strings()
        old_place = yield from entry(self.names.read(old))
        new_place = yield from entry(self.names.read(new))
        uses = [used(READ, old_place), used(WRITE, old_place), used(WRITE, new_place)]
        text = f"link {said(new_place)} to the file {said(old_place)}"
        return self._intent(request, text, uses, [old_place, new_place], old_place.sent + new_place.sent)

    def _symlink(self, request: "_Request") -> Asking[Intent]:
        """OpenSSH has the arguments the other way round than the draft: first what the link leads to."""
        target, link = request.two_strings()
        place = yield from entry(self.names.read(link))
        pointed = yield from pointed_at(target, place)
        uses = [used(WRITE, place, holds=True), used(READ, pointed), used(WRITE, pointed)]
        text = f"make the link {said(place)} to {said(pointed)}"
        return self._intent(request, text, uses, [place], string(target) + place.sent)

    # ------------------------------------------------------------ names that are asked for

    def _realpath(self, request: "_Request") -> Asking[Intent]:
        """Where names begin, the gateway knows by itself; sessions of any client begin with this question."""
        written = request.only_string()
        home = self.names.home
        if written in (b"", b".") and home is not None:
            return Intent(answer=wire.name(request.identifier, home.encode()))
        place = yield from followed(self.names.read(written))
        return self._name_answer(request, place)

    def _expand_path(self, request: "_Request") -> Asking[Intent]:
        written = request.only_string()
        if written.startswith(b"~") and written[1:2] not in (b"", b"/"):
            place = yield from self._asked(extensions.EXPAND_PATH, written)
        else:
            relative = written.removeprefix(b"~").lstrip(b"/") if written.startswith(b"~") else written
            place = yield from followed(self.names.read(relative or b"."))
        return self._name_answer(request, place)

    def _home_directory(self, request: "_Request") -> Asking[Intent]:
        place = yield from self._asked(extensions.HOME_DIRECTORY, request.only_string())
        return self._name_answer(request, place)

    def _asked(self, extension: bytes, written: bytes) -> Asking[Place]:
        """A place that only the target can name; it is looked up like any other then."""
        whose = "~" + text_of(written).lstrip("~")
        answer = yield Question(PacketType.EXTENDED, string(extension) + string(written))
        if isinstance(answer, Status):
            return Place(whose, None, answer)
        return (yield from followed(self.names.read(answer)))

    def _name_answer(self, request: "_Request", place: Place) -> Intent:
        answer = b"" if place.real is None else wire.name(request.identifier, place.real.encode())
        return self._intent(request, f"resolve {said(place)}", [used(LIST, place)], [place], answer=answer)

    # ------------------------------------------------------------ handles

    def _change_handle(self, request: "_Request") -> Intent:
        handle = request.fields.handle()
        attributes = read_attributes(request.fields)
        request.fields.end()
        opened = self._handles.get(handle)
        if opened is None:
            return _no_handle(request)
        uses = [Use(WRITE, opened.names, grants=_grants(attributes, changes=True))]
        text = f"change {_shown(opened)}{_to(attributes)}"
        return self._intent(request, text, uses, [], string(handle) + attributes.encoded)

    def _sync(self, request: "_Request") -> Intent:
        handle = request.fields.handle()
        request.fields.end()
        opened = self._handles.get(handle)
        if opened is None:
            return _no_handle(request)
        return self._intent(request, f"sync {_shown(opened)}", [Use(WRITE, opened.names)], [], string(handle))

    def _copy_data(self, request: "_Request") -> Intent:
        fields = request.fields
        source, start, size = fields.handle(), fields.u64(), fields.u64()
        target, offset = fields.handle(), fields.u64()
        fields.end()
        read, written = self._handles.get(source), self._handles.get(target)
        if read is None or written is None or not (read.can_read and written.can_write):
            return _no_handle(request)
        amount = f"{size} bytes" if size else "all"
        text = f"copy {amount} from {start} of {_shown(read)} to {offset} of {_shown(written)}"
        uses = [Use(READ, read.names), Use(WRITE, written.names)]
        sent = string(source) + wire.u64(start) + wire.u64(size) + string(target) + wire.u64(offset)
        return dataclasses.replace(self._intent(request, text, uses, [], sent), scatters=written)

    def _users_and_groups(self, request: "_Request") -> Intent:
        users, groups = request.two_strings()
        if len(users) % 4 or len(groups) % 4:
            raise Malformed("its numbers are not of four bytes")
        text = f"look up the names of {len(users) // 4} users and {len(groups) // 4} groups"
        return self._intent(request, text, [], [], string(users) + string(groups))

    # ------------------------------------------------------------ together

    def _intent(
        self,
        request: "_Request",
        text: str,
        uses: list[Use],
        places: list[Place],
        fields: bytes = b"",
        opening: Opening | None = None,
        answer: bytes = b"",
    ) -> Intent:
        """What the target would not find is not asked for again: the client gets what it has said to the question."""
        meaning = meaning_of(request.verb, text, uses, self.names, self._login)
        problem = next((place.problem for place in places if place.problem is not None), None)
        if problem is not None:
            return Intent(meaning, text, answer=wire.status(request.identifier, problem.code, problem.message))
        if answer:
            return Intent(meaning, text, answer=answer)
        expects = _ANSWERS.get(request.kind, PacketType.STATUS)
        return Intent(meaning, text, request.again(fields), expects, opening=opening)


@dataclass(frozen=True, slots=True)
class _Request:
    """A packet whose type has been read; of an extension it is the name."""

    packet: bytes
    kind: int | bytes
    fields: Fields

    @property
    def identifier(self) -> int:
        return wire.identifier_of(self.packet)

    @property
    def verb(self) -> str:
        return extensions.verb_of(self.kind) if isinstance(self.kind, bytes) else PacketType(self.kind).name

    @property
    def changes(self) -> bool:
        return self.kind in (PacketType.SETSTAT, extensions.LSETSTAT)

    @property
    def shown(self) -> str:
        """The first name, as far as it can be shown."""
        start = wire.HEAD_BYTES + (4 + len(self.kind) if isinstance(self.kind, bytes) else 0)
        written = Fields(self.packet, start).string()
        return one_line(written[:256].decode(errors="backslashreplace"))

    def only_string(self) -> bytes:
        only = self.fields.string()
        self.fields.end()
        return only

    def two_strings(self) -> tuple[bytes, bytes]:
        first, second = self.fields.string(), self.fields.string()
        self.fields.end()
        return first, second

    def again(self, fields: bytes) -> bytes:
        """The request written anew with these fields."""
        if isinstance(self.kind, bytes):
            return wire.packet(PacketType.EXTENDED, self.identifier, string(self.kind), fields)
        return wire.packet(self.kind, self.identifier, fields)


def _no_handle(request: _Request) -> Intent:
    return Intent(answer=wire.status(request.identifier, StatusCode.FAILURE, "there is no such handle"))


def _with(attributes: Attributes) -> str:
    return f" with {attributes.in_words}" if attributes.in_words else ""


def _to(attributes: Attributes) -> str:
    return f" to {attributes.in_words or 'nothing'}"


def _grants(attributes: Attributes, changes: bool) -> bool:
    """Whether rights are given away. What everybody may write to, the host's ``umask`` sees to where it is made."""
    return attributes.gives_identity or (changes and attributes.gives_writing)


def _shown(opened: Opened) -> str:
    return one_line(opened.names[-1])


def _purposes(wanted: OpenFlag, reads: bool, writes: bool) -> str:
    purposes = " and ".join(["reading"] * reads + ["writing"] * writes)
    ways = [word for flag, word in _WAYS.items() if flag in wanted]
    return f"{purposes} ({', '.join(ways)})" if ways else purposes


_WAYS: Final = {
    OpenFlag.APPEND: "append",
    OpenFlag.CREATE: "create",
    OpenFlag.TRUNCATE: "truncate",
    OpenFlag.EXCLUSIVE: "only if new",
}


_Read = Callable[[RequestReader, _Request], Asking[Intent] | Intent]

_READERS: Final[Mapping[int | bytes, _Read]] = {
    **dict.fromkeys(_ABOUT_ONE_NAME, RequestReader._one_name),
    PacketType.OPEN: RequestReader._open,
    PacketType.RENAME: RequestReader._rename,
    extensions.POSIX_RENAME: RequestReader._rename,
    extensions.HARDLINK: RequestReader._hardlink,
    PacketType.SYMLINK: RequestReader._symlink,
    PacketType.REALPATH: RequestReader._realpath,
    extensions.EXPAND_PATH: RequestReader._expand_path,
    extensions.HOME_DIRECTORY: RequestReader._home_directory,
    PacketType.FSETSTAT: RequestReader._change_handle,
    extensions.FSYNC: RequestReader._sync,
    extensions.COPY_DATA: RequestReader._copy_data,
    extensions.USERS_GROUPS: RequestReader._users_and_groups,
}
