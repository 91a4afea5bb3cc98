"""Here-documents (XCU 2.7.4): their delimiters, and their bodies from the next line on."""

import re

from interlock.protocols.ssh.commands.grammar.dialects import UnreadableError
from interlock.protocols.ssh.commands.grammar.syntax import HereDocument, Part, Redirect, ShellWord, Text
from interlock.protocols.ssh.commands.grammar.words import Words

_DELIMITER = re.compile(r"(?P<quote>['\"]|\\|)(?P<name>[\w.%+,:=@!-]+)(?P<end>['\"]|)(?=[\s;&|<>()]|$)", re.ASCII)
_JOINED = re.compile(r"(?<!\\)(?:\\\\)*\\$")


class HereDocuments(Words):
    """Rules for here-documents. ``pending`` have been announced in the line that is being read."""

    pending: list[tuple[str, re.Match[str], HereDocument]]

    def expandable_body(self, text: str) -> list[Part]:
        raise NotImplementedError

    def here_document(self, operator: str, descriptor: int | None) -> Redirect:
        """What follows ``<<``; the body comes with the end of the line."""
        self.skip_blanks()
        delimiter = _DELIMITER.match(self.text, self.at)
        if delimiter is None or delimiter["end"] != delimiter["quote"].replace("\\", ""):
            raise UnreadableError("the delimiter of a here-document is not plain: write <<'END'")
        self.at = delimiter.end()
        document = HereDocument()
        self.pending.append((operator, delimiter, document))
        return Redirect(operator, descriptor, ShellWord(()), document)

    def read_bodies(self) -> None:
        """Reads what has been announced; the cursor is at the beginning of a line."""
        for operator, delimiter, document in self.pending:
            lines = self._lines_until(delimiter, tabs=operator == "<<-")
            body = "".join(lines)
            document.body.extend([Text(body, quoted=True)] if delimiter["quote"] else self.expandable_body(body))
        self.pending.clear()

    def _lines_until(self, delimiter: re.Match[str], *, tabs: bool) -> list[str]:
        lines: list[str] = []
        while self.at < len(self.text):
            line, newline = self._line()
            shown = line.lstrip("\t") if tabs else line
            if shown == delimiter["name"]:
                if lines and not delimiter["quote"] and _JOINED.search(lines[-1].removesuffix("\n")):
                    raise UnreadableError("the line before the end of a here-document ends with a backslash")
                return lines
            if shown == delimiter[0] and delimiter["quote"]:
                raise UnreadableError("a line of a here-document is its delimiter with quotes: csh ends it there")
            if not delimiter["quote"] and _JOINED.search(shown) and delimiter["name"].startswith(shown[:-1]):
                raise UnreadableError("a joined line of a here-document may be its end")
            lines.append(shown + newline)
        raise UnreadableError(f"a here-document does not end with a line {delimiter['name']}")

    def _line(self) -> tuple[str, str]:
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        line = self.text[self.at : end]
        self.at = min(end + 1, len(self.text))
        return line, self.text[end : end + 1]
