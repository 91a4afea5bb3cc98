"""Settings about agents: what has to be known of one before it gets in."""

from typing import Annotated

from msgspec import Meta

from interlock.core.settings.table import Table


class AgentSettings(Table, frozen=True):
    """What has to be known of an agent before it gets in."""

    require_registration: Annotated[
        bool,
        Meta(description="Refuse agents that are not registered with `interlock identities add`, whoever vouches."),
    ] = False
    require_owner: Annotated[
        bool,
        Meta(description="Refuse agents for which nobody answers, and register none without an owner."),
    ] = False
