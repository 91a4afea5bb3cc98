"""Fetches security events from a transmitter (RFC 8936), acknowledges those that were carried out, and says what was
wrong with others. What could not be carried out now is neither: the transmitter gives it out again.
"""

from typing import Any, Final

import structlog

from interlock.adapters.identity.issuer_client import FetchFailed, IssuerClient, Place
from interlock.adapters.identity.security_events import EventVerifier
from interlock.adapters.secret_reference import read_secret
from interlock.core.errors import CredentialUnavailable, InterlockError
from interlock.core.security_event import SecurityEvent
from interlock.core.settings import EventStreamSettings
from interlock.services.security_events import EventRefused, SecurityEvents, Way

EVENTS_AT_A_TIME: Final = 10
"""So many fit into the largest answer that is read, whatever their size."""
ROUNDS: Final = 100
"""Of one look: a transmitter that always has more waits for the next."""

log = structlog.get_logger(__name__)


class EventPoll:
    """Looks for events of one stream. ``name`` is the issuer's."""

    def __init__(
        self, name: str, settings: EventStreamSettings, place: Place, verifier: EventVerifier, events: SecurityEvents
    ) -> None:
        self._name = name
        self._settings = settings
        self._client = IssuerClient(place)
        self._verifier = verifier
        self._events = events
        self._done: list[str] = []
        self._wrong: dict[str, dict[str, str]] = {}

    async def look(self) -> None:
        """Fetch what there is and carry it out. Never raises."""
        try:
            for _ in range(ROUNDS):
                if not await self._round():
                    return
        except (FetchFailed, CredentialUnavailable) as error:
            log.warning("security events not fetched", issuer=self._name, reason=str(error))
        except Exception as error:  # noqa: BLE001 - the next look may go well
            log.error("security events not fetched", issuer=self._name, error=type(error).__name__)

    async def close(self) -> None:
        """Release the connections."""
        await self._client.close()

    async def _round(self) -> bool:
        """One request; whether there is something to say about it in another one, which may bring more."""
        sets = await self._ask()
        before = len(self._done) + len(self._wrong)
        for event_id, token in sets.items():
            await self._take(event_id, token)
        return len(self._done) + len(self._wrong) > before

    async def _ask(self) -> dict[str, Any]:
        """Section 2.4: the tokens by their id. Raises FetchFailed, CredentialUnavailable."""
        done, wrong = self._done, self._wrong
        document = {"maxEvents": EVENTS_AT_A_TIME, "returnImmediately": True, "ack": done, "setErrs": wrong}
        headers = {}
        if self._settings.poll_token is not None:
            headers["Authorization"] = f"Bearer {await read_secret(self._settings.poll_token)}"
        status, answer = await self._client.post_json(self._settings.poll_url or "", document, headers)
        sets = answer.get("sets", {}) if isinstance(answer, dict) else None
        if status != 200 or not isinstance(answer, dict) or not isinstance(sets, dict):
            raise FetchFailed(f"{self._settings.poll_url}: status {status}, or no answer to a poll")
        self._done, self._wrong = [], {}
        return sets

    async def _take(self, event_id: str, token: object) -> None:
        try:
            try:
                await self._events.receive(await self._read(event_id, token), Way.POLL)
            except EventRefused as refused:
                await self._events.refuse(self._name, Way.POLL, "", str(refused))
                self._wrong[event_id] = {"err": refused.code, "description": "the event is not accepted"}
                return
        except InterlockError as error:
            log.error("security event not carried out", issuer=self._name, error=str(error))
            return
        self._done.append(event_id)

    async def _read(self, event_id: str, token: object) -> SecurityEvent:
        if not isinstance(token, str):
            raise EventRefused("it is no token")
        event = await self._verifier.event(self._name, token)
        if event.id != event_id:
            raise EventRefused("it was given out under another id")
        return event
