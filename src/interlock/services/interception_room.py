"""Carries out the commands about the authority for TLS interception. It never sees a private key."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from interlock.core.administration import Command, InterceptionAuthorityView, ShowInterceptionAuthority
from interlock.core.identity import Actor
from interlock.services.administration import Handler


class ShownAuthority(Protocol):
    """An authority as far as it can be shown."""

    @property
    def certificate_pem(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hexadecimal."""

    @property
    def ends_at_s(self) -> float:
        """Unix time."""


class InterceptionRoom:
    """Implements ``services.administration.Room``. ``authority`` opens it, and may raise ``ConfigurationError``."""

    def __init__(self, authority: Callable[[], ShownAuthority]) -> None:
        self._authority = authority

    @property
    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        """By command."""
        return {ShowInterceptionAuthority: self._show}

    async def _show(self, _command: ShowInterceptionAuthority, _actor: Actor) -> InterceptionAuthorityView:
        shown = self._authority()
        return InterceptionAuthorityView(shown.certificate_pem, shown.fingerprint, shown.ends_at_s)
