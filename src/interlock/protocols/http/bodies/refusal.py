"""Why a body must not go on. The sentences say what is wrong with the form of a body and never show what is in it."""


class BodyRefused(Exception):
    """The body must not be forwarded: what is left of it is withheld. ``reason`` is a sentence without a full stop."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Malformed(BodyRefused):
    """The body is not what it has to be to be understood: broken, cut off, or of another format."""
