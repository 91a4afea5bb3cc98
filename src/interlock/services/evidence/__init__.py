"""Reading, searching, exporting and verifying evidence. Nothing in here changes evidence."""

from interlock.core.evidence import Finding, SearchHit, SessionSummary, VerificationReport
from interlock.services.evidence.search import AuditQuery, SearchQuery
from interlock.services.evidence.service import EvidenceService, EvidenceVerifier
from interlock.services.evidence.sessions import SessionFilter
from interlock.services.evidence.telling import OperationView

__all__ = [
    "AuditQuery",
    "EvidenceService",
    "EvidenceVerifier",
    "Finding",
    "OperationView",
    "SearchHit",
    "SearchQuery",
    "SessionFilter",
    "SessionSummary",
    "VerificationReport",
]
