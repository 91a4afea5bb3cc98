"""Says what of a client's input may be recorded: what is masked in output is masked in it, and no passwords are kept.

That input is a password is told from the output: its last line asks for one and is not over. It is an aid, not a
boundary: a program that asks in other words, or on a screen of its own, has its answer recorded.
"""

import re
from typing import Final

from interlock.core.masking import Masking
from interlock.protocols.ssh.masking.output import OutputMask
from interlock.protocols.ssh.masking.readings import readings

NOT_KEPT: Final = b"[input not kept]"
"""What stands for a line of input that answers such a question."""

_TAIL_BYTES: Final = 512
_MAX_EARLY_BYTES: Final = 4096
_MAX_LINES: Final = 3
"""So many lines that come at once may answer one question: the password before, a new one, and the new one again."""
_MAX_LINE_BYTES: Final = 4096
"""No terminal takes a longer line."""
_WORDS: Final = (
    r"pass ?(?:word|phrase|code|wd)|\bpin\b|\bpuk\b|\botp\b|one[- ]time|verification code|token|secret|credential"
    r"|api[ _-]?key|private key|authenticator"
    # Afrikaans to Vietnamese
    r"|wagwoord|kennwort|passwort|kodeord|adgangskode|lösenord|salasana|parool|parole|slaptažodis|mot de passe"
    r"|phrase de|contraseña|clave|contrasenya|senha|palavra|parola|wachtwoord|toegangscode|hasło|heslo|geslo|lozinka"
    r"|jelszó|şifre|kata sandi|sandi|mật khẩu|κωδικ|пароль|паролата|парола|лозинка|סיסמ|كلمة (?:ال)?(?:مرور|سر)"
    r"|رمز عبور|รหัสผ่าน|पासवर्ड|密码|密碼|口令|パスワード|暗証|비밀번호|암호"
)
_ASKED: Final = re.compile(rf"(?i:{_WORDS})(?:[^\n]{{0,200}}[:?\uff1a\uff1f]|[ \t]*[>=])\s*[*\u2022\u25cf]*\s*\Z")
_LINE_END: Final = re.compile(rb"\r\n|[\r\n\x03\x04\x1a\x1c]")
"""A line of input ends with it, or with what ends or stops the program that asks."""
_AS_THE_HOST_READS: Final = bytes.maketrans(b"\r\x7f", b"\n\x08")


class InputWatch:
    """Sees output and input of one channel. Call ``finish`` when no more input comes.

    On a terminal the end of a line and the erasing of a character are recorded as the host reads them.
    """

    def __init__(self, masking: Masking | None, terminal: bool = False) -> None:
        self._mask = OutputMask(masking, terminal=False)
        self._terminal = terminal
        self._tail = b""
        self._is_new = False
        """Whether the target has said something since the last input."""
        self._early: bytes | None = b""
        """What came before any output: the first thing that is asked may be for it."""
        self._recorded = b""
        self._answers = 0
        """How many lines that come may answer what is asked."""
        self._dropped: int | None = None
        """How much of the line at hand is not kept, if it is not."""

    def output(self, data: bytes) -> None:
        """What the target said, on either of its streams."""
        if not data:
            return
        self._tail = (self._tail + data[-_TAIL_BYTES:])[-_TAIL_BYTES:].rpartition(b"\n")[2]
        self._is_new = True
        if self._early is not None:
            early, self._early = self._early, None
            self._recorded += self._take(early) if early else b""

    def input(self, data: bytes) -> bytes:
        """What may be recorded now."""
        if self._early is not None:
            self._early += data
            if len(self._early) <= _MAX_EARLY_BYTES:
                return b""
            data, self._early = self._early, None
        recorded, self._recorded = self._recorded, b""
        return recorded + self._take(data)

    def renew(self, masking: Masking | None) -> bytes:
        """Mask by this from now on. What may be recorded of what came before."""
        rest = self._mask.finish()
        self._mask = OutputMask(masking, terminal=False)
        return rest

    def finish(self) -> bytes:
        """What is left to be recorded."""
        rest = self._recorded + self._take(self._early or b"")
        if self._dropped is not None:
            rest += self._kept(NOT_KEPT)
        return rest + self._mask.finish()

    def _take(self, data: bytes) -> bytes:
        if self._is_new:
            self._is_new = False
            self._answers = _MAX_LINES if _asks(self._tail) else 0
        parts: list[bytes] = []
        position = 0
        while position < len(data) and (self._answers or self._dropped is not None):
            position = self._drop(data, position, parts)
        if position < len(data):
            parts.append(self._kept(data[position:]))
        return b"".join(parts)

    def _drop(self, data: bytes, position: int, parts: list[bytes]) -> int:
        """Leave out the line at hand, and say so where it ends. Where it ends, or is too long for an answer."""
        dropped = self._dropped or 0
        most = position + _MAX_LINE_BYTES - dropped
        end = _LINE_END.search(data, position, most)
        if end is None and len(data) < most:
            self._dropped = dropped + len(data) - position
            return len(data)
        self._dropped, self._answers = None, max(0, self._answers - 1) if end is not None else 0
        parts.append(self._kept(NOT_KEPT + (end[0] if end is not None else b"")))
        return end.end() if end is not None else most

    def _kept(self, data: bytes) -> bytes:
        return self._mask.feed(data.translate(_AS_THE_HOST_READS) if self._terminal else data)


def _asks(tail: bytes) -> bool:
    """Whether the last line of output asks for something that is not kept."""
    return any(_ASKED.search(reading.text.decode(errors="replace")) for reading in readings(tail))
