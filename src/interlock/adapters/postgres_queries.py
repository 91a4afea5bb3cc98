"""Queries kept in SQL files next to this module, each under a comment ``-- name: NAME`` and ended by a semicolon."""

from importlib import resources


def named_queries(file: str) -> dict[str, str]:
    """The queries of a file by their names."""
    text = resources.files("interlock.adapters").joinpath(file).read_text("utf-8")
    sections = (section.partition("\n") for section in text.split("-- name: ")[1:])
    return {name: query.partition(";")[0] for name, _, query in sections}
