"""Where a secret is: the settings name the place, never the secret."""

from typing import Annotated

from msgspec import Meta

from interlock.core.settings.table import PATH, Table

VariableName = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]

Arguments = Annotated[tuple[str, ...], Meta(min_length=1)]


class CredentialReference(Table, frozen=True):
    """Where a target's password is. Exactly one key. The password itself is never written in the file."""

    env: Annotated[VariableName | None, Meta(description="Environment variable that holds it, read at each use.")] = (
        None
    )
    file: Annotated[
        str | None,
        Meta(description="File that holds it (one trailing newline is ignored), read at each use.", extra=PATH),
    ] = None
    sealed: Annotated[
        bool,
        Meta(description="`true`: kept encrypted by the gateway; set it with `interlock connections set-credential`."),
    ] = False

    def __post_init__(self) -> None:
        if (self.env is not None) + (self.file is not None) + self.sealed != 1:
            raise ValueError("exactly one of env, file, sealed = true")


class KeyReference(Table, frozen=True):
    """Where a key-encryption key is: 32 bytes in base64. Exactly one key."""

    env: Annotated[VariableName | None, Meta(description="Environment variable that holds it.")] = None
    file: Annotated[
        str | None, Meta(description="File that holds it; must be readable by its owner only.", extra=PATH)
    ] = None
    command: Annotated[
        Arguments | None,
        Meta(description="Program and arguments that print it (a key service's client). No shell is used."),
    ] = None

    def __post_init__(self) -> None:
        if sum(reference is not None for reference in (self.env, self.file, self.command)) != 1:
            raise ValueError("exactly one of env, file, command")


class SecretReference(Table, frozen=True):
    """Where a secret is. Exactly one key. The secret itself is never written in the file."""

    env: Annotated[VariableName | None, Meta(description="Environment variable that holds it, read at each use.")] = (
        None
    )
    file: Annotated[
        str | None,
        Meta(description="File that holds it (one trailing newline is ignored), read at each use.", extra=PATH),
    ] = None

    def __post_init__(self) -> None:
        if (self.env is None) == (self.file is None):
            raise ValueError("exactly one of env, file")
