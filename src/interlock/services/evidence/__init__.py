"""Reading, searching, exporting and verifying evidence. Nothing in here changes evidence."""

from interlock.services.evidence.report import Finding, VerificationReport
from interlock.services.evidence.search import AuditQuery, SearchHit, SearchQuery
from interlock.services.evidence.service import EvidenceService, EvidenceVerifier, OperationView
from interlock.services.evidence.sessions import SessionFilter, SessionSummary

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
