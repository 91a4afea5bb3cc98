"""Reads what an issuer publishes from a file: bounded, and off the event loop. It keeps nothing."""

import asyncio
from pathlib import Path

from interlock.adapters.identity.issuer_client import MAX_DOCUMENT_BYTES, FetchFailed
from interlock.adapters.identity.token import load_strict_json


async def read_document(file: str) -> object:
    """The JSON in a file. Raises FetchFailed."""
    content = await asyncio.to_thread(read_bounded, file)
    try:
        return load_strict_json(content)
    except ValueError as error:
        raise FetchFailed(f"{file}: {error}") from None


def read_bounded(file: str) -> bytes:
    """What is in a file, when it is not too large. Raises FetchFailed."""
    try:
        with Path(file).open("rb") as stream:
            content = stream.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise FetchFailed(f"{file}: {error.strerror}") from None
    if len(content) > MAX_DOCUMENT_BYTES:
        raise FetchFailed(f"{file}: larger than {MAX_DOCUMENT_BYTES} bytes")
    return content
