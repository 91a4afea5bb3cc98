"""What is remembered of the tokens that were accepted, to tell later whether they still count.

The token itself only where its issuer has to be asked about it (RFC 7662), in memory, and shown by nothing.
Implements ``services.rechecks.Proofs``. Of a principal with a session token it is the token of the issuer that is
remembered, by its id among the ancestors.
"""

from collections import OrderedDict
from typing import Final, Protocol

import msgspec

from interlock.adapters.identity.introspection import Question
from interlock.adapters.identity.verification import TokenSource
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal

MAX_REMEMBERED: Final = 10_000
TAKEN_BACK: Final = "your identity provider says that what you came in with counts no more; come again"
KEY_WITHDRAWN: Final = "the key that proved who you are is not its issuer's any more; come again with a new token"


class Voucher(Protocol):
    """What a proof was accepted for: a key, or an authority."""

    async def is_withdrawn(self) -> bool:
        """Whether whoever published it does so no more; not while that cannot be told."""


class UsedKey(msgspec.Struct, frozen=True):
    """The key that a token was signed with: what the token says of it, and its thumbprint (RFC 7638)."""

    source: TokenSource
    key_id: str | None
    algorithm: str
    thumbprint: str

    async def is_withdrawn(self) -> bool:
        """Whether its issuer publishes it no more; not while that cannot be told."""
        try:
            await self.source.refresh_when_old()
        except LoginRefused:
            return False
        try:
            key = await self.source.find_key(self.key_id, self.algorithm)
        except LoginRefused:
            return True
        return key.thumbprint != self.thumbprint


class AcceptedProof(msgspec.Struct, frozen=True):
    """One token that was accepted: the key that it was signed with, and how its issuer is asked about it, if it is."""

    key: Voucher | None
    question: Question | None = None


class AcceptedProofs:
    """Bounded: what was not asked for the longest is forgotten."""

    def __init__(self) -> None:
        self._proofs: OrderedDict[tuple[str, str], AcceptedProof] = OrderedDict()

    def remember(self, principal: Principal, proof: AcceptedProof) -> None:
        """What proved a principal."""
        key = principal.issuer, principal.token_id
        if key not in self._proofs and len(self._proofs) >= MAX_REMEMBERED:
            self._proofs.popitem(last=False)
        self._proofs[key] = proof
        self._proofs.move_to_end(key)

    async def refusal(self, principal: Principal) -> str | None:
        """Why what proved a principal, or who acts for it, counts no more; None while it does.

        What is not known, or cannot be found out now, speaks against nobody.
        """
        for who in (principal, *principal.acting):
            proof = self._find(who)
            if proof is not None and (reason := await _refusal(proof)) is not None:
                return reason
        return None

    def _find(self, principal: Principal) -> AcceptedProof | None:
        for token_id in (principal.token_id, *principal.ancestors):
            key = principal.issuer, token_id
            if key in self._proofs:
                self._proofs.move_to_end(key)
                return self._proofs[key]
        return None


async def _refusal(proof: AcceptedProof) -> str | None:
    if proof.key is not None and await proof.key.is_withdrawn():
        return KEY_WITHDRAWN
    if proof.question is not None and await proof.question.is_inactive():
        return TAKEN_BACK
    return None
