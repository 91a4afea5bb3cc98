"""The secrets of channels, read at each use."""

from interlock.adapters import secret_reference
from interlock.core.errors import CredentialUnavailable
from interlock.core.settings import SecretReference
from interlock.services.notifications.ports import DeliveryFailed


async def read_secret(reference: SecretReference) -> str:
    """The secret, without one trailing newline. Raises DeliveryFailed."""
    try:
        return await secret_reference.read_secret(reference)
    except CredentialUnavailable as error:
        raise DeliveryFailed(str(error)) from None
