"""Reads secrets where settings say they are, at each use. No error quotes one."""

import asyncio
import os
from pathlib import Path
from typing import Final

from interlock.core.errors import CredentialUnavailable
from interlock.core.settings import SecretReference

MAX_SECRET_BYTES: Final = 65_536


async def read_secret(reference: SecretReference) -> str:
    """The secret, without one trailing newline. Raises CredentialUnavailable."""
    if reference.file is None:
        place = f"environment variable {reference.env}"
        content = os.environb.get(os.fsencode(reference.env or ""), b"")
    else:
        place = f"file {reference.file}"
        try:
            content = await asyncio.to_thread(_read_bounded, Path(reference.file))
        except OSError as error:
            raise CredentialUnavailable(f"{place} cannot be read: {error.strerror}") from None
    content = content.removesuffix(b"\n").removesuffix(b"\r")
    if not content or len(content) > MAX_SECRET_BYTES:
        raise CredentialUnavailable(f"the secret in {place} is empty or too long")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise CredentialUnavailable(f"the secret in {place} is not UTF-8") from None


def _read_bounded(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(MAX_SECRET_BYTES + 1)
