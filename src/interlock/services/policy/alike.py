"""Which meanings policy cannot tell apart for one session, so that what was decided about one holds for the other.

Two are alike when they have the same accesses and say the same of everything that is read by a rule which could fit one
of these. Exact in one direction: meanings that are not alike may still be decided alike.
"""

from collections.abc import Hashable, Iterable, Mapping

from interlock.core.operation import PARTS, Access, Facts, Meaning
from interlock.services.policy.resources import Resource, UnresolvedName, resolve
from interlock.services.policy.rules import Rule
from interlock.services.policy.scopes import actions_of, fits_principal, may_fit
from interlock.services.policy.tree import WHOLE, facts_read
from interlock.services.policy.viewpoint import Viewpoint

Likeness = Hashable

_Accesses = tuple[Access, ...]
_Read = tuple[tuple[str, str], ...]
_KEPT = 256
_EXPLAINED = frozenset({"error", "opaque"})
"""Facts that a denial tells, so that those of one meaning hold for no other."""
_BODY = frozenset({("http", "fields"), ("http", "body"), ("http", WHOLE)})


class Alikeness:
    """What of a meaning's facts can make a difference to one principal on one target."""

    def __init__(self, rules: Iterable[Rule], viewpoint: Viewpoint) -> None:
        self._viewpoint = viewpoint
        mine = (rule.policy for rule in rules if fits_principal(rule.policy.principal, viewpoint.principal))
        found = ((policy, facts_read(policy)) for policy in mine)
        self._reading = [(actions_of(policy.action), policy.resource, read) for policy, read in found if read]
        self._read: dict[_Accesses, _Read] = {}

    def of(self, meaning: Meaning, accesses: _Accesses) -> Likeness | None:
        """Equal for meanings that are alike; None when this one is to be decided by itself. May raise."""
        facts = meaning.facts
        if (
            meaning.refusal is not None
            or not _EXPLAINED.isdisjoint(facts)
            or ("unread" in facts and self.reads_body(accesses))
        ):
            return None
        given = {part: facts[part] for part in PARTS & facts.keys()} or ({"sql": facts} if facts else {})
        said = tuple(_said(given, part, name) for part, name in self._read_about(accesses))
        return accesses, frozenset(given), said

    def seen_of(self, facts: Facts, accesses: _Accesses) -> Facts:
        """What rules that could fit one of these see of the facts; the parts stay, so that a rule can ask for them.

        A part is told to Cedar anew for each access, so what nobody asks for is not. May raise.
        """
        given = {part: said for part in PARTS & facts.keys() if isinstance(said := facts[part], Mapping)}
        if not given:
            return facts
        read = self._read_about(accesses)
        return {
            part: said if (part, WHOLE) in read else {name: said[name] for name in said if (part, name) in read}
            for part, said in given.items()
        }

    def reads_body(self, accesses: _Accesses) -> bool:
        """Whether a rule that could fit one of these asks what is in a request's body. May raise."""
        return not _BODY.isdisjoint(self._read_about(accesses))

    def _read_about(self, accesses: _Accesses) -> _Read:
        read = self._read.get(accesses)
        if read is None:
            if len(self._read) >= _KEPT:
                self._read.clear()
            found = (self._read_of(access) for access in accesses)
            read = self._read[accesses] = tuple(sorted(frozenset[tuple[str, str]]().union(*found)))
        return read

    def _read_of(self, access: Access) -> frozenset[tuple[str, str]]:
        """What rules that could fit an access read; nothing when its name is incomplete: it is denied in any case."""
        try:
            resource: Resource = resolve(access, self._viewpoint.connection, self._viewpoint.database)
        except UnresolvedName:
            return frozenset()
        reading = (
            read for actions, scope, read in self._reading if access.action in actions and may_fit(scope, resource)
        )
        return frozenset[tuple[str, str]]().union(*reading)


def _said(given: Mapping[str, object], part: str, name: str) -> object:
    """What a meaning says of one thing. A part that is read as a whole has no hash: such meanings are alike to none."""
    facts = given.get(part)
    return facts.get(name) if isinstance(facts, Mapping) and name != WHOLE else facts
