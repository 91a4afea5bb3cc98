"""What is remembered of the tokens that were accepted, to tell later whether they still count. Never a token.

Implements ``services.rechecks.Proofs``. Of a principal with a session token it is the token of the issuer that is
remembered, by its id among the ancestors.
"""

from collections import OrderedDict
from typing import Final

import msgspec

from interlock.adapters.identity.verification import TokenSource
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal

MAX_REMEMBERED: Final = 20_000
KEY_WITHDRAWN: Final = "the key that proved who you are is not its issuer's any more; come again with a new token"


class AcceptedProof(msgspec.Struct, frozen=True):
    """One token that was accepted: what it says of its key, and that key's thumbprint (RFC 7638)."""

    source: TokenSource
    key_id: str | None
    algorithm: str
    thumbprint: str


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
    try:
        await proof.source.refresh_when_old()
    except LoginRefused:
        return None
    try:
        key = await proof.source.find_key(proof.key_id, proof.algorithm)
    except LoginRefused:
        return KEY_WITHDRAWN
    return None if key.thumbprint == proof.thumbprint else KEY_WITHDRAWN
