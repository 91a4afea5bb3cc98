"""What people and programs can ask of the gateway, and what it answers: one command and one answer for each.

base          what all commands have in common
connections, identities, tokens, locks, sessions, approvals, notifications, evidence, incidents, policy
              one noun a file
requests      commands as HTTP requests
remote        where another gateway is

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
from interlock.core.administration.evidence import (
    ListOperations,
    ListSessions,
    ReadTranscript,
    SearchLedger,
    SearchOperations,
    ShowSession,
    VerifyLedger,
)
from interlock.core.administration.identities import (
    AddIdentity,
    DisableIdentity,
    EnableIdentity,
    GeneratedSecret,
    GenerateSecret,
    IdentityView,
    ListIdentities,
    RemoveIdentity,
    ShowIdentity,
)
from interlock.core.administration.incidents import (
    BundleIncident,
    CloseIncident,
    FindValue,
    ListIncidents,
    OpenIncident,
    ReadBundle,
    ReportIncident,
    ShowIncident,
)
from interlock.core.administration.locks import AddLock, ListLocks, LockPage, RemoveLock, RevokeToken
from interlock.core.administration.notifications import ChannelView, ListChannels, TestChannel
from interlock.core.administration.policy import ExplainPolicy, ShowPolicy, WhoAmI
from interlock.core.administration.sessions import KillSession, ListLiveSessions, LiveSession, LiveSessionPage
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
    RemoveIdentity,
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
    ListChannels,
    TestChannel,
    ListSessions,
    ShowSession,
    ListOperations,
    ReadTranscript,
    SearchOperations,
    SearchLedger,
    VerifyLedger,
    OpenIncident,
    ListIncidents,
    ShowIncident,
    ReportIncident,
    FindValue,
    BundleIncident,
    ReadBundle,
    CloseIncident,
    ShowPolicy,
    ExplainPolicy,
    WhoAmI,
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
    | RemoveIdentity
    | GenerateSecret
    | IssueToken
    | ListApprovals
    | ShowApproval
    | Approve
    | Deny
    | Rehearse
    | RevokeToken
    | ListLocks
    | AddLock
    | RemoveLock
    | ListLiveSessions
    | KillSession
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
    "ChannelView",
    "ColumnPath",
    "Command",
    "ConnectionView",
    "Deny",
    "DisableIdentity",
    "Done",
    "EnableIdentity",
    "ExplainPolicy",
    "GenerateSecret",
    "GeneratedSecret",
    "HardenConnection",
    "HardeningPlan",
    "IdentityView",
    "IssueToken",
    "IssuedToken",
    "KillSession",
    "ListApprovals",
    "ListChannels",
    "ListConnections",
    "ListIdentities",
    "ListLiveSessions",
    "ListLocks",
    "ListOperations",
    "ListSessions",
    "LiveSession",
    "LiveSessionPage",
    "LockPage",
    "NotSampled",
    "Permission",
    "ReadTranscript",
    "Rehearse",
    "RemoveConnection",
    "RemoveIdentity",
    "RemoveLock",
    "RevokeToken",
    "Route",
    "ScanConnection",
    "ScanReport",
    "SearchLedger",
    "SearchOperations",
    "SetCredential",
    "ShowApproval",
    "ShowConnection",
    "ShowIdentity",
    "ShowPolicy",
    "ShowSession",
    "TagProposal",
    "TestChannel",
    "TestConnection",
    "VerifyLedger",
    "WhoAmI",
    "answer_type",
]
