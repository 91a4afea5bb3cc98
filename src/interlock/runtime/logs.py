"""Log lines of the gateway: to standard error, for people or for machines. Never a secret, never a row value."""

import logging
import sys
from contextlib import suppress

import structlog
from structlog.typing import Processor

from interlock.core.settings import LogFormat, LogLevel


def set_up_logs(log_format: LogFormat, level: LogLevel) -> None:
    """Set the form and the threshold for the whole process."""
    renderer: Processor
    if log_format is LogFormat.JSON:
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.value.upper()]),
        logger_factory=_standard_error,
    )


class StandardError(structlog.PrintLogger):
    """A line that cannot be written, as on a full disk, is lost: what is evidence is on the ledger.

    An error here would be one of whoever has something to say, and keep a client from its answer.
    """

    def msg(self, message: str) -> None:
        with suppress(OSError, ValueError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def _standard_error(*_: object) -> StandardError:
    """Whatever it is at the moment, which matters to whoever replaces it."""
    return StandardError(sys.stderr)
