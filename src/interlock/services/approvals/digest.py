"""What an approval is bound to: a digest over everything that must be the same when the operation is executed."""

import hashlib
from collections.abc import Iterable

from interlock.core.operation import Operation
from interlock.core.session import Session


def approval_digest(session: Session, operation: Operation, accesses: Iterable[str], policy: str) -> str:
    """SHA-256, in hexadecimal, over who asks, where, for what exactly, and under which policy version.

    ``accesses`` are the meaning's, with names resolved: the same text means something else under another search path.
    The session is not part of it: whoever sends the same operation again finds its approval.
    """
    principal = session.principal
    content = (operation.digest(), operation.parameter_types, operation.forwarded)
    hasher = hashlib.sha256(b"interlock approval 1")
    names = (principal.kind.value, principal.name, session.protocol, session.connection, session.database, policy)
    for part in (*map(str.encode, (*names, *accesses)), *content):
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return hasher.hexdigest()
