"""The policy engine: one validated version of the policy, ready to decide.

An engine is immutable; a new policy is a new engine with a new version.
"""

from collections.abc import Mapping, Sequence

from interlock.core.decision import Verdict
from interlock.core.errors import PolicyRejected
from interlock.core.identity import Principal
from interlock.core.operation import Meaning
from interlock.services.policy.delegated import AnyPolicy, policy_for
from interlock.services.policy.evaluator import Evaluator
from interlock.services.policy.rules import Rule, read_rules
from interlock.services.policy.schema import schema_text
from interlock.services.policy.sources import NO_TAGS, PolicySource, Tags, canonical_text, version_of
from interlock.services.policy.tags import TagRules, tag_problems
from interlock.services.policy.viewpoint import ClientFacts, Party

_SHARED_SESSIONS = 256
_UNKNOWN_CLIENT = ClientFacts()


class PolicyEngine:
    """One validated version of the policy.

    ``version`` is the SHA-256, in hexadecimal, of ``text``, the canonical text of all sources and tags.
    """

    def __init__(self, sources: Sequence[PolicySource], tags: Tags = NO_TAGS) -> None:
        """Parse and validate. Raises ``PolicyRejected`` with one line for each problem.

        Takes milliseconds for each rule and lets other threads run meanwhile: build it outside the event loop.
        """
        draft = read_rules(sources)
        problems = [*draft.problems, *tag_problems(tags)]
        if problems:
            raise PolicyRejected(problems)
        self.text = canonical_text(sources, tags, schema_text())
        self.version = version_of(self.text)
        self.evaluator = Evaluator(draft.rules, TagRules(tags), self.version)
        self._shared: dict[tuple[object, ...], AnyPolicy] = {}

    @property
    def rules(self) -> Mapping[str, Rule]:
        """The rules by their ids."""
        return self.evaluator.rules

    @property
    def denial_limits(self) -> tuple[tuple[float, int], ...]:
        """The times that an identity's denials have to be counted for; see ``Evaluator.denial_limits``."""
        return self.evaluator.denial_limits

    def for_session(
        self, principal: Principal, connection: str, database: str, client: ClientFacts = _UNKNOWN_CLIENT
    ) -> AnyPolicy:
        """This policy for one principal on one database; sessions that differ in nothing that counts share it."""
        who: tuple[object, ...] = (principal.kind, principal.name, principal.groups, principal.owner)
        if principal.actor is not None:
            who = tuple(map(Party.of, (principal, *principal.acting)))
        key = (who, connection, database, client if self.evaluator.reads_client else None)
        policy = self._shared.pop(key, None)
        if policy is None:
            policy = policy_for(self.evaluator, principal, connection, database, client)
            if len(self._shared) >= _SHARED_SESSIONS:
                del self._shared[next(iter(self._shared))]
        self._shared[key] = policy
        return policy

    def masks_anything(self, connection: str, database: str, principal: Principal) -> bool:
        """Whether rules could mask something of this database for a principal, whatever the database contains.

        Cheap, and never wrongly False: without it, there is no need for a catalogue.
        """
        return self.for_session(principal, connection, database).masks.any

    def decide(
        self,
        principal: Principal,
        connection: str,
        database: str,
        meaning: Meaning,
        client: ClientFacts = _UNKNOWN_CLIENT,
        now_s: float = 0.0,
    ) -> Verdict:
        """The verdict on one meaning; see ``SessionPolicy.decide``."""
        return self.for_session(principal, connection, database, client).decide(meaning, now_s)
