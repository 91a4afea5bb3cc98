"""Session tokens for this machine: one that is kept, or a new one in exchange for what the machine can prove.

The gateway is asked by one process of this account at a time, so that none uses up what another is about to use.
"""

import contextlib
import hashlib
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from interlock.core.client import HeldToken, TokenRequest
from interlock.core.errors import ConfigurationError
from interlock.core.login import LoginHolder
from interlock.services.client.ports import (
    AuthorizationServer,
    GrantRefused,
    Proof,
    Proofs,
    Shelf,
    ShelfUnusable,
    TokenAnswer,
)
from interlock.services.ports import Clock

CLIENT_ID: Final = LoginHolder.CLI.value
SPARE_S: Final = 60.0
"""A token that ends within this is not used any more."""
LOG_IN_AGAIN: Final = "the login has ended; log in again: interlock login"
_NOTHING_TO_SHOW: Final = (
    "a token is needed: log in (interlock login), put a token into INTERLOCK_TOKEN, or name a file with --token-file"
)
_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_TYPES: Final = "urn:ietf:params:oauth:token-type:"
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 section 2.1. Such a token means nothing else in a file or a header."""
_JWT_DOTS: Final = 2

Fields = list[tuple[str, str]]


class SessionTokens:
    """Gets them. ``shelf`` keeps them."""

    def __init__(self, server: AuthorizationServer, shelf: Shelf, proofs: Proofs, clock: Clock) -> None:
        self._server = server
        self._shelf = shelf
        self._proofs = proofs
        self._clock = clock

    def get(self, wanted: TokenRequest) -> HeldToken:
        """A token that does not end soon. Raises AdministrationRefused, ConfigurationError."""
        return self._get(wanted, self._proofs.subject(), self._proofs.actor())

    def narrowed(self, token: HeldToken, wanted: TokenRequest) -> HeldToken:
        """A token for less than one that is held, in exchange for that. Raises as ``get``.

        What the machine can prove is not asked for again: the gateway may take it once only.
        """
        return self._get(wanted, _HeldProof(token), None)

    def _get(self, wanted: TokenRequest, subject: Proof | None, actor: Proof | None) -> HeldToken:
        try:
            with self._shelf.locked():
                return self._kept_or_new(wanted, subject, actor)
        except ShelfUnusable:
            if subject is None:
                raise
        return self._new(wanted, subject, actor)  # a workload may have no place to keep anything

    def _kept_or_new(self, wanted: TokenRequest, subject: Proof | None, actor: Proof | None) -> HeldToken:
        key = self._key(wanted, subject, actor)
        now_s = self._clock.now_s()
        kept = self._shelf.token(key)
        if kept is not None and kept.ends_at_s - now_s > SPARE_S:
            return kept
        new = self._new(wanted, subject, actor)
        with contextlib.suppress(ShelfUnusable):
            self._shelf.keep_token(key, new, now_s)
        return new

    def _key(self, wanted: TokenRequest, subject: Proof | None, actor: Proof | None) -> str:
        """Names a token by all that it depends on."""
        whose = subject.key if subject is not None else "login"
        parts = (msgspec.structs.replace(wanted, connections=wanted.audience), whose, actor.key if actor else "")
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()

    def _new(self, wanted: TokenRequest, subject: Proof | None, actor: Proof | None) -> HeldToken:
        if subject is not None:
            return self._exchange(wanted, subject.read(), actor)
        if actor is None:
            return self._by_login(wanted)
        own = self._by_login(TokenRequest(wanted.connections, wanted.api))
        return self._exchange(wanted, own.token, actor)

    def _exchange(self, wanted: TokenRequest, subject_token: str, actor: Proof | None) -> HeldToken:
        """RFC 8693 section 2.1."""
        fields = [
            ("grant_type", _EXCHANGE),
            ("subject_token", subject_token),
            ("subject_token_type", _type_of(subject_token)),
        ]
        if actor is not None:
            token = actor.read()
            fields += [("actor_token", token), ("actor_token_type", _type_of(token))]
        now_s = self._clock.now_s()
        return _held(self._server.token(fields + _wished(wanted)), now_s)

    def _by_login(self, wanted: TokenRequest) -> HeldToken:
        """RFC 6749 section 6; the login's new secret is kept before anything else."""
        login = self._shelf.login()
        if login is None:
            raise ConfigurationError(_NOTHING_TO_SHOW)
        fields = [("grant_type", "refresh_token"), ("refresh_token", login.refresh_token), ("client_id", CLIENT_ID)]
        now_s = self._clock.now_s()
        try:
            answer = self._server.token(fields + _wished(wanted))
        except GrantRefused as refused:
            if refused.code == "invalid_grant":
                raise GrantRefused(refused.code, f"{LOG_IN_AGAIN} ({refused})") from None
            raise
        if answer.refresh_token:
            self._shelf.renew_login(msgspec.structs.replace(login, refresh_token=answer.refresh_token))
        return _held(answer, now_s)


class _HeldProof:
    """Implements ``Proof`` with a session token."""

    def __init__(self, token: HeldToken) -> None:
        self._token = token

    @property
    def key(self) -> str:
        return hashlib.sha256(self._token.token.encode()).hexdigest()

    def read(self) -> str:
        return self._token.token


def _wished(wanted: TokenRequest) -> Fields:
    fields = [("audience", name) for name in wanted.audience]
    fields += [("requested_token_type", f"{_TYPES}jwt")] if wanted.jwt else []
    lifetime = "" if wanted.lifetime_s is None else str(wanted.lifetime_s)
    named: Sequence[tuple[str, str]] = (("lifetime_s", lifetime), ("source", wanted.source), ("run", wanted.run))
    return fields + [(name, value) for name, value in named if value]


def _type_of(token: str) -> str:
    return _TYPES + ("jwt" if token.count(".") == _JWT_DOTS else "access_token")


def _held(answer: TokenAnswer, now_s: float) -> HeldToken:
    if not _TOKEN.fullmatch(answer.access_token):
        raise GrantRefused("", "the gateway gave no token")
    return HeldToken(answer.access_token, now_s + answer.expires_in, answer.token_id, answer.audience)
