"""What policy is asked about the gateway itself: for each permission one action on the entity ``Gateway``."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from interlock.core.administration import Permission
from interlock.core.operation import Access, Meaning, ResourceKind

MEANINGS: Final[Mapping[Permission, Meaning]] = MappingProxyType(
    {
        permission: Meaning(permission.value.upper(), (Access(permission.value, ResourceKind.GATEWAY),))
        for permission in Permission
    }
)
"""The question for each permission."""

ACTIONS: Final = frozenset(permission.value for permission in Permission)
"""The actions that are asked about the gateway only."""
