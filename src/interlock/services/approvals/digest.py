"""What an approval is bound to: a digest over everything that must be the same when the operation is executed."""

import hashlib
from collections.abc import Sequence

from interlock.core.operation import Operation
from interlock.core.session import Session


def approval_digest(session: Session, operation: Operation, accesses: Sequence[str], policy: str) -> str:
    """SHA-256, in hexadecimal, over who asks, where, for what exactly, and under which policy version.

    ``accesses`` are the meaning's, with names resolved: the same text means something else under another search path.
    Who acts for whoever asks is part of who asks. What the text runs by name, and what it withholds, are part of it;
    the session is not: whoever sends the same again finds its approval.
    """
    values = (operation.parameters, operation.parameters_digest, operation.parameter_types, operation.withheld_digest)
    content = (operation.text, *values, operation.forwarded, *(part for run in operation.runs for part in run))
    hasher = hashlib.sha256(b"interlock approval 3")
    asker = session.principal.asker
    asked = (
        str(len(asker)),
        *(part for one in asker for part in one),
        session.protocol,
        session.connection,
        session.database,
        policy,
    )
    for part in (*map(str.encode, (*asked, str(len(accesses)), *accesses)), *content):
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return hasher.hexdigest()
