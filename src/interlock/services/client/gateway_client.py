"""One gateway as this machine's account uses it: logging in and out, session tokens, commands."""

from collections.abc import Callable
from typing import Any, Protocol

from interlock.core.administration import AnswerT, Command, ConnectionAccess, ShowAccess
from interlock.core.client import ClientLogin, GatewayAddress, HeldToken, TokenRequest
from interlock.core.errors import AdministrationRefused, ConfigurationError
from interlock.core.settings import NAME_PATTERN
from interlock.services.client.ports import (
    AuthorizationServer,
    DeviceAnswer,
    LoginDamaged,
    Redirection,
    Shelf,
    ShelfUnusable,
    TokenAnswer,
)
from interlock.services.client.session_tokens import SessionTokens
from interlock.services.client.sign_in import ShowUrl, SignIn


class Send(Protocol):
    """Has the gateway execute a command for a token's holder. Raises AdministrationRefused."""

    def __call__(self, command: Command[Any], token: str, /) -> Any: ...


class GatewayClient:
    """What the commands for people and workloads work with. Everything raises AdministrationRefused and
    ConfigurationError, with a text for people."""

    def __init__(
        self,
        address: GatewayAddress,
        server: AuthorizationServer,
        shelf: Shelf,
        tokens: SessionTokens,
        sign_in: SignIn,
        send: Send,
    ) -> None:
        self.address = address
        self.shelf = shelf
        self._server = server
        self._tokens = tokens
        self._sign_in = sign_in
        self._send = send

    def token(self, wanted: TokenRequest) -> HeldToken:
        """A session token that does not end soon."""
        return self._tokens.get(wanted)

    def ask(self, command: Command[AnswerT], connections: tuple[str, ...] = ()) -> AnswerT:
        """Have a command executed for whoever this machine can prove to be, with a token that is for these, too."""
        answer: AnswerT = self._send(command, self.token(TokenRequest(connections, api=True)).token)
        return answer

    def entrance(self, connection: str) -> tuple[ConnectionAccess, HeldToken]:
        """How a connection is reached, and a token that is good there and nowhere else."""
        (access,), held = self.entrances(TokenRequest((connection,)))
        return access, held

    def entrances(self, wanted: TokenRequest) -> tuple[list[ConnectionAccess], HeldToken]:
        """How all connections of a token are reached, and the token."""
        wide = self.token(TokenRequest(wanted.connections, True, source=wanted.source, run=wanted.run))
        found = [_checked(self._send(ShowAccess(name), wide.token), name) for name in wanted.connections]
        return found, self._tokens.narrowed(wide, wanted)

    def log_in_by_browser(self, redirection: Callable[[str], Redirection], show: ShowUrl, provider: str) -> ClientLogin:
        """Log in at the address that ``show`` is given."""
        return self._keep(self._sign_in.by_browser(redirection, show, provider))

    def log_in_by_device(self, show: Callable[[DeviceAnswer], None], provider: str) -> ClientLogin:
        """Log in on whatever machine has a browser."""
        return self._keep(self._sign_in.by_device(show, provider))

    def log_out(self) -> str:
        """End the login and forget it; a warning when the gateway could not be told, or when there was no login."""
        with self.shelf.locked():
            try:
                login = self.shelf.login()
                warning = self._end(login) if login is not None else "nobody was logged in"
            except LoginDamaged as error:
                warning = f"the login is forgotten here; the gateway ends it by itself: {error}"
            self.shelf.forget()
        return warning

    def _end(self, login: ClientLogin) -> str:
        try:
            self._server.revoke(login.refresh_token)
        except AdministrationRefused as error:
            return f"the login is forgotten here, but the gateway could not be told to end it: {error}"
        return ""

    def _keep(self, answer: TokenAnswer) -> ClientLogin:
        login = ClientLogin(self.address.url, answer.refresh_token, answer.login, answer.login_ends_at_s)
        with self.shelf.locked():
            before = self._login_before()
            self.shelf.keep_login(login)
        if before is not None:
            self._end(before)
        return login

    def _login_before(self) -> ClientLogin | None:
        try:
            return self.shelf.login()
        except ShelfUnusable:
            raise
        except ConfigurationError:  # damaged, or others may read it: it is replaced
            return None


def _checked(access: ConnectionAccess, name: str) -> ConnectionAccess:
    """What a gateway says, if it can go into names of files, variables and a URL. Raises AdministrationRefused."""
    texts = (access.user, access.path, *access.databases, *access.logins)
    is_path = access.path.startswith("/") or not access.path
    if access.name != name or not NAME_PATTERN.fullmatch(name) or not is_path or not all(map(str.isprintable, texts)):
        raise AdministrationRefused("what answers is not this gateway")
    return access
