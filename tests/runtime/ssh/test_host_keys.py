"""The listener shows the host key that it was given last."""

from typing import Any, cast

import asyncssh
import pytest

from interlock.core.settings.ssh import SshSettings
from interlock.runtime.live_sessions import LiveRegistry
from interlock.runtime.metrics import Metrics
from interlock.runtime.ssh.attempts import LoginAttempts
from interlock.runtime.ssh.listener import SshListener
from interlock.runtime.ssh.parts import SshParts
from tests.clocks import ManualClock


@pytest.fixture
def parts() -> SshParts:
    """Enough for clients that do not log in."""
    nothing = cast(Any, None)
    attempts = LoginAttempts(10, ManualClock())
    return SshParts(SshSettings(), nothing, nothing, nothing, LiveRegistry(), nothing, nothing, attempts)


async def shown(listener: SshListener) -> str:
    key = await asyncssh.get_server_host_key(*listener.addresses[0], config=None)
    assert key is not None
    return key.get_fingerprint()


async def test_a_key_that_is_made_anew_is_shown_from_then_on(parts: SshParts) -> None:
    first, second = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    listener = SshListener(parts, Metrics(), [first])
    await listener.listen("127.0.0.1", 0)
    assert await shown(listener) == first.get_fingerprint()
    listener.use_keys([second])
    assert await shown(listener) == second.get_fingerprint()
    await listener.close(1.0)
