"""Policy: what a principal may do, decided with Cedar (docs/policy.md).

*Sources* are texts, a *rule* is one policy in them, an *engine* is one validated version of all rules, a *session
policy* is an engine seen by one session, the *store* holds the engine in force. Nothing in here forwards anything, and
nothing but a ``permit`` rule ever grants.
"""

from interlock.services.policy.engine import PolicyEngine
from interlock.services.policy.session import SessionPolicy
from interlock.services.policy.sources import PolicyReader, PolicySource
from interlock.services.policy.store import PolicyStore
from interlock.services.policy.viewpoint import ClientFacts

__all__ = ["ClientFacts", "PolicyEngine", "PolicyReader", "PolicySource", "PolicyStore", "SessionPolicy"]
