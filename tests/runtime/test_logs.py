"""Log lines when there is nowhere to write them."""

import io
import sys

import pytest
import structlog

from interlock.core.settings import LogFormat, LogLevel
from interlock.runtime.logs import set_up_logs


class _FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("log_format", LogFormat)
def test_a_line_that_cannot_be_written_is_lost_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, log_format: LogFormat
) -> None:
    monkeypatch.setattr(sys, "stderr", _FullDisk())
    try:
        set_up_logs(log_format, LogLevel.INFO)
        log = structlog.get_logger()
        for say in (log.info, log.warning, log.error, log.exception):
            say("something")
        monkeypatch.setattr(sys, "stderr", working := io.StringIO())
        structlog.get_logger().info("something else")
        assert "something else" in working.getvalue()
    finally:
        structlog.reset_defaults()
