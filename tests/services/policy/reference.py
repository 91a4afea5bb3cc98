"""The evaluation rules of docs/policy.md over again, for a small rule language, in plain Python without Cedar.

Slow and simple on purpose: the engine is compared with it on random policies and requests.
"""

import dataclasses

from interlock.services.policy.session import Outcome

GROUPS_OF_ACTIONS: dict[str, set[str]] = {
    "connect": {"read"},
    "introspect": {"read", "connect"},
    "select": {"read"},
    "insert": {"write"},
    "delete": {"write"},
    "drop": {"destructive"},
    "delete-all": {"destructive"},
    "call": {"execute"},
    "unclassified": set(),
}
HTTP_ACTIONS: dict[str, set[str]] = {
    "connect": {"read"},
    "http-get": {"read"},
    "http-delete": {"write", "destructive"},
    "graphql-mutation": {"write"},
    "model-call": {"execute"},
    "http-other": set(),
    "unclassified": set(),
}
APPLIES: dict[str, set[str]] = {
    "http-get": {"Connection", "Endpoint"},
    "http-delete": {"Connection", "Endpoint"},
    "http-other": {"Connection", "Endpoint"},
    "graphql-mutation": {"Connection", "Endpoint", "GraphqlField"},
    "model-call": {"Connection", "Endpoint", "Model"},
}
"""The types of resources that actions are asked about; of those that are not here, all."""
TAGS: dict[str, set[tuple[str, ...]]] = {
    "pii": {("pg", "app", "public", "users"), ("pg", "app", "private")},
    "prod": {("pg",), ("crm", "Endpoint::volumes"), ("crm", "Model::volumes")},
    "outside": {("crm",)},
}
TAG_PATTERNS = {
    "pg/app/public/users": ["pii"],
    "pg/app/private": ["pii"],
    "pg": ["prod"],
    "crm": ["outside"],
    "Endpoint::crm/volumes": ["prod"],
    "Model::*/vol*": ["prod"],
}
ALWAYS, EARLY, FAILS_LATE, USERS_ONLY = "always", "early", "fails late", "users only"
CONDITIONS = {
    ALWAYS: "",
    EARLY: "when { context.hour < 12 }",
    FAILS_LATE: "when { context.hour < 12 || context.now * 9223372036854775807 > 1 }",
    USERS_ONLY: 'when { context has http && context.http.path like "/users/*" }',
}
_TYPES = ("Connection", "Database", "Schema", "Table")


@dataclasses.dataclass(frozen=True)
class ModelRule:
    """``kind`` (Agent, User, None for both), ``group``, ``actions`` and ``resource`` (a path or a tag) limit it.

    A component of a path may have its type in front (``Model::gpt``).
    """

    permits: bool
    kind: str | None
    group: str | None
    actions: frozenset[str]
    resource: tuple[str, ...] | str
    condition: str
    approval: str | None
    budget: bool = False

    def cedar(self, rule_id: str) -> str:
        principal = " ".join(
            filter(None, ["principal", self.kind and f"is {self.kind}", self.group and f'in Group::"{self.group}"'])
        )
        actions = ", ".join(f'Action::"{action}"' for action in sorted(self.actions))
        if isinstance(self.resource, str):
            resource = f'resource in Tag::"{self.resource}"'
        elif self.resource:
            resource = f'resource in {type_of(self.resource)}::"{"/".join(map(name_of, self.resource))}"'
        else:
            resource = "resource"
        approval = f'@approval("{self.approval}")' if self.approval else ""
        budget = '@budget("rows=5 per 1h")' if self.budget else ""
        effect = "permit" if self.permits else "forbid"
        scope = f"{principal}, action{f' in [{actions}]' if actions else ''}, {resource}"
        return f'@id("{rule_id}") {approval} {budget} {effect} ({scope}) {CONDITIONS[self.condition]};\n'

    def in_scope(self, request: "ModelRequest", action: str, path: tuple[str, ...]) -> bool:
        words = {action} | groups_of(action)
        above = {path[:depth] for depth in range(len(path) + 1)}
        tagged = {tag for tag, paths in TAGS.items() if paths & above}
        return (
            self.kind in (None, request.kind)
            and (self.group is None or self.group in request.groups)
            and (not self.actions or bool(self.actions & words))
            and (self.resource in tagged if isinstance(self.resource, str) else self.resource in above)
        )

    def is_possible(self) -> bool:
        """Whether it can fit anything: the schema refuses what cannot."""
        if not isinstance(self.resource, tuple) or not self.actions or len(self.resource) < 2:
            return True
        asked = HTTP_ACTIONS if "::" in self.resource[-1] else GROUPS_OF_ACTIONS
        leaves = {name for name in asked if self.actions & ({name} | groups_of(name))}
        return any(is_asked(name, self.resource) for name in leaves)


def groups_of(action: str) -> set[str]:
    return GROUPS_OF_ACTIONS.get(action) or HTTP_ACTIONS.get(action) or set()


def is_asked(action: str, path: tuple[str, ...]) -> bool:
    return action not in APPLIES or type_of(path) in APPLIES[action]


def type_of(path: tuple[str, ...]) -> str:
    kind, typed, _ = path[-1].partition("::")
    return kind if typed else _TYPES[len(path) - 1]


def name_of(component: str) -> str:
    return component.rpartition("::")[2]


@dataclasses.dataclass(frozen=True)
class ModelRequest:
    kind: str
    groups: frozenset[str]
    accesses: tuple[tuple[str, tuple[str, ...]], ...]
    hour: int
    path: str = ""


@dataclasses.dataclass(frozen=True)
class ModelVerdict:
    """``budgets`` are the rules whose budgets the outcome depends on."""

    outcome: Outcome
    rules: frozenset[str]
    approvals: frozenset[str]
    budgets: frozenset[str]


def decide(rules: dict[str, ModelRule], request: ModelRequest, spent: frozenset[str] = frozenset()) -> ModelVerdict:
    """The verdict when the budgets of the rules ``spent`` are spent and the others are not.

    What is denied in any case is so for that reason alone: budgets are not looked at.
    """
    found = [_decide_access(rules, request, action, path, frozenset()) for action, path in request.accesses]
    if spent and all(verdict.outcome is not Outcome.DENY for verdict in found):
        found = [_decide_access(rules, request, action, path, spent) for action, path in request.accesses]
    return _strictest(found)


def _strictest(found: list[ModelVerdict]) -> ModelVerdict:
    outcome = max(verdict.outcome for verdict in found)
    deciding = [v for v in found if v.outcome is outcome] if outcome is Outcome.DENY else found
    return ModelVerdict(
        outcome,
        frozenset[str]().union(*(verdict.rules for verdict in deciding)),
        frozenset[str]().union(*(verdict.approvals for verdict in deciding)),
        frozenset[str]().union(*(verdict.budgets for verdict in deciding)),
    )


def _decide_access(
    rules: dict[str, ModelRule], request: ModelRequest, action: str, path: tuple[str, ...], spent: frozenset[str]
) -> ModelVerdict:
    none = frozenset[str]()
    in_scope = {name: rule for name, rule in rules.items() if rule.in_scope(request, action, path)}
    early = request.hour < 12
    failed = frozenset(name for name, rule in in_scope.items() if rule.condition == FAILS_LATE and not early)
    if failed:
        return ModelVerdict(Outcome.DENY, failed, none, none)
    holds = {ALWAYS: True, EARLY: early, FAILS_LATE: early, USERS_ONLY: request.path.startswith("/users/")}
    satisfied = {name: rule for name, rule in in_scope.items() if holds[rule.condition]}
    permits = frozenset(name for name, rule in satisfied.items() if rule.permits)
    forbids = {name: rule for name, rule in satisfied.items() if not rule.permits}
    hard = frozenset(name for name, rule in forbids.items() if not rule.approval and not rule.budget)
    budgets = frozenset(name for name, rule in forbids.items() if rule.budget)
    beyond = frozenset(name for name in budgets & spent if not forbids[name].approval)
    asking = frozenset(name for name, rule in forbids.items() if rule.approval and (not rule.budget or name in spent))
    if hard or not permits:
        return ModelVerdict(Outcome.DENY, hard, none, none)
    if beyond:
        return ModelVerdict(Outcome.DENY, beyond, none, none)
    made_by = permits | frozenset(forbids)
    if asking:
        return ModelVerdict(Outcome.HOLD, made_by, frozenset(str(rules[name].approval) for name in asking), budgets)
    return ModelVerdict(Outcome.ALLOW, made_by, none, budgets)
