"""Starts background tasks so that none is lost: each is referenced until it ends, and its error is logged."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger()

_running: set[asyncio.Task[Any]] = set()


def spawn(work: Coroutine[Any, Any, object], name: str) -> asyncio.Task[Any]:
    """Run ``work`` in the current loop."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    _running.add(task)
    task.add_done_callback(_finished)
    return task


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and task.exception() is not None:
        log.error("background task failed", task=task.get_name(), error=type(task.exception()).__name__)
