"""Names and literals as SQL text that means the same whatever the session's settings are."""


def identifier(name: str) -> str:
    """A quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def qualified(*names: str) -> str:
    """A dotted name of quoted identifiers."""
    return ".".join(map(identifier, names))


def text_literal(value: str) -> str:
    """A string literal. Relies on ``standard_conforming_strings``, which the gateway pins."""
    return "'" + value.replace("'", "''") + "'"
