"""What a script for ``sed`` writes, reads and runs, by its commands (POSIX and GNU)."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SedEffects:
    """Files that are written (``w``, ``s///w``) and read (``r``, ``R``) besides the input."""

    written: tuple[str, ...] = ()
    read: tuple[str, ...] = ()


_BRACKET = re.compile(r"\[\^?\]?(?:\[[:.=]\w+[:.=]\]|[^\]\n])*\]")
_WITHOUT_ARGUMENT = frozenset("=dDgGhHnNpPxFz")
_WITH_LABEL = frozenset(":btT")
_WITH_NUMBER = frozenset("qQlL")
_WITH_TEXT = frozenset("aic")


def effects(script: str) -> SedEffects | None:
    """What the script does besides printing; None when it runs a program (``e``), or is not understood."""
    try:
        return _Script(script).read()
    except (IndexError, ValueError):
        return None


class _Script:
    """Goes over the commands. Raises ValueError or IndexError at what it does not understand."""

    def __init__(self, text: str) -> None:
        self.text = text + "\n"
        self.at = 0
        self.written: list[str] = []
        self.read_from: list[str] = []

    def read(self) -> SedEffects:
        while self._skip(" \t\n;}"):
            self._address()
            self._skip(" \t!")
            self._command()
        return SedEffects(tuple(self.written), tuple(self.read_from))

    def _skip(self, characters: str) -> bool:
        """Goes past the characters; whether anything follows."""
        while self.at < len(self.text) and self.text[self.at] in characters:
            self.at += 1
        return self.at < len(self.text)

    def _address(self) -> None:
        while self._one_address():
            self._skip(" \t")
            if self.text[self.at] != ",":
                return
            self.at += 1
            self._skip(" \t")

    def _one_address(self) -> bool:
        if number := re.compile(r"[0-9+~$][0-9~]*").match(self.text, self.at):
            self.at = number.end()
            return True
        if self.text[self.at] in "/\\":
            self.at += self.text[self.at] == "\\"
            self._expression()
            self.at = re.compile(r"[IM]*").match(self.text, self.at).end()  # type: ignore[union-attr]
            return True
        return False

    def _delimited(self) -> str:
        """Goes past the delimiter that is here and everything up to its next one; what stood between."""
        delimiter = self.text[self.at]
        start = self.at = self.at + 1
        while self.text[self.at] != delimiter:
            if self.text[self.at] == "\\":
                self.at += 1
            self.at += 1
        self.at += 1
        return self.text[start : self.at - 1]

    def _expression(self) -> None:
        """A regular expression: in brackets the delimiter is one character among others. An escape there: in doubt."""
        delimiter = self.text[self.at]
        if delimiter in "[]\\\n":
            raise ValueError(delimiter)
        self.at += 1
        while self.text[self.at] != delimiter:
            if bracket := _BRACKET.match(self.text, self.at):
                if "\\" in bracket[0] and re.search(rf"\\[\]\[{re.escape(delimiter)}]", bracket[0]):
                    raise ValueError(bracket[0])
                self.at = bracket.end()
            else:
                self.at += 2 if self.text[self.at] == "\\" else 1
        self.at += 1

    def _command(self) -> None:
        command = self.text[self.at]
        self.at += 1
        if command == "{" or command in _WITHOUT_ARGUMENT:
            return
        if command == "#" or command in _WITH_LABEL:
            self._rest_of_line(";" if command != "#" else "")
        elif command in _WITH_NUMBER:
            self._skip(" \t0123456789")
        elif command in _WITH_TEXT:
            self._text()
        elif command in "wW":
            self.written.append(self._rest_of_line("").strip())
        elif command in "rR":
            self.read_from.append(self._rest_of_line("").strip())
        elif command == "y":
            self._delimited()
            self.at -= 1
            self._delimited()
        elif command == "s":
            self._substitution()
        else:
            raise ValueError(command)

    def _rest_of_line(self, also_ends: str) -> str:
        start = self.at
        while self.text[self.at] not in "\n" + also_ends:
            self.at += 1
        return self.text[start : self.at]

    def _text(self) -> None:
        """The text of ``a``, ``i``, ``c`` goes on over lines that end in a backslash."""
        while True:
            line = self._rest_of_line("")
            self.at += 1
            if not line.endswith("\\") or self.at >= len(self.text):
                return

    def _substitution(self) -> None:
        self._expression()
        self.at -= 1
        self._delimited()
        while self.text[self.at] not in " \t\n;}#":
            flag = self.text[self.at]
            self.at += 1
            if flag == "w":
                self.written.append(self._rest_of_line("").strip())
                return
            if flag not in "gpiImM0123456789":
                raise ValueError(flag)
