"""What people and programs can ask of the gateway, and what it answers: one command and one answer for each.

base          what all commands have in common
connections, identities, tokens, locks, sessions, approvals        one noun a file

``COMMANDS`` has every command there is.
"""

from typing import Any, Final

from interlock.core.administration.approvals import Approve, Deny, ListApprovals, Rehearse, ShowApproval
from interlock.core.administration.base import SOCKET_FILE, AnswerT, Command, Done, Permission, Route, answer_type
from interlock.core.administration.connections import (
    AddConnection,
    ColumnPath,
    ConnectionView,
    HardenConnection,
    HardeningPlan,
    ListConnections,
    NotSampled,
    RemoveConnection,
    ScanConnection,
    ScanReport,
    SetCredential,
    ShowConnection,
    TagProposal,
    TestConnection,
)
from interlock.core.administration.identities import (
    AddIdentity,
    DisableIdentity,
    EnableIdentity,
    GeneratedSecret,
    GenerateSecret,
    IdentityView,
    ListIdentities,
    ShowIdentity,
)
from interlock.core.administration.locks import AddLock, ListLocks, RemoveLock, RevokeToken
from interlock.core.administration.sessions import KillSession, ListLiveSessions
from interlock.core.administration.tokens import IssuedToken, IssueToken

COMMANDS: Final[tuple[type[Command[Any]], ...]] = (
    ListConnections,
    ShowConnection,
    AddConnection,
    SetCredential,
    RemoveConnection,
    TestConnection,
    ScanConnection,
    HardenConnection,
    ListIdentities,
    ShowIdentity,
    AddIdentity,
    DisableIdentity,
    EnableIdentity,
    GenerateSecret,
    IssueToken,
    RevokeToken,
    ListLocks,
    AddLock,
    RemoveLock,
    ListLiveSessions,
    KillSession,
    ListApprovals,
    ShowApproval,
    Approve,
    Deny,
    Rehearse,
)

AnyCommand = (
    ListConnections
    | ShowConnection
    | AddConnection
    | SetCredential
    | RemoveConnection
    | TestConnection
    | ScanConnection
    | HardenConnection
    | ListIdentities
    | ShowIdentity
    | AddIdentity
    | DisableIdentity
    | EnableIdentity
    | GenerateSecret
    | IssueToken
    | ListApprovals
    | ShowApproval
    | Approve
    | Deny
    | Rehearse
)

__all__ = [
    "COMMANDS",
    "SOCKET_FILE",
    "AddConnection",
    "AddIdentity",
    "AddLock",
    "AnswerT",
    "AnyCommand",
    "Approve",
    "ColumnPath",
    "Command",
    "ConnectionView",
    "Deny",
    "DisableIdentity",
    "Done",
    "EnableIdentity",
    "GenerateSecret",
    "GeneratedSecret",
    "HardenConnection",
    "HardeningPlan",
    "IdentityView",
    "IssueToken",
    "IssuedToken",
    "KillSession",
    "ListApprovals",
    "ListConnections",
    "ListIdentities",
    "ListLiveSessions",
    "ListLocks",
    "NotSampled",
    "Permission",
    "Rehearse",
    "RemoveConnection",
    "RemoveLock",
    "RevokeToken",
    "Route",
    "ScanConnection",
    "ScanReport",
    "SetCredential",
    "ShowApproval",
    "ShowConnection",
    "ShowIdentity",
    "TagProposal",
    "TestConnection",
    "answer_type",
]
