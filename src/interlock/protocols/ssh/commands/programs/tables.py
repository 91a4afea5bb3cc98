"""Tables that are written as text: names between blanks."""


def names(text: str) -> frozenset[str]:
    """The names of a table."""
    return frozenset(text.split())
