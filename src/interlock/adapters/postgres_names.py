"""Names in SQL text that the gateway writes itself."""


def quoted(*names: str) -> str:
    """A name, qualified when there are several, so that it stands for nothing but itself, also on a terminal."""
    return ".".join(map(_quoted, names))


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    if name.isprintable():
        return f'"{doubled}"'
    letters = (letter if letter.isprintable() else f"\\+{ord(letter):06x}" for letter in doubled.replace("\\", "\\\\"))
    return f'U&"{"".join(letters)}"'
