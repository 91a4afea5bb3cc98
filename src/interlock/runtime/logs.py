"""Log lines of the gateway: to standard error, for people or for machines. Never a secret, never a row value."""

import logging
import sys

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


def _standard_error(*_: object) -> structlog.PrintLogger:
    """Whatever it is at the moment, which matters to whoever replaces it."""
    return structlog.PrintLogger(sys.stderr)
