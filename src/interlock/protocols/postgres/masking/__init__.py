"""Masking at the source: statements rewritten so that masked values never enter them.

An *index* prepares a principal's masking for look-ups by name. A *reading* walks one text's trees and finds what must
change; its *edits* are spliced into the text, and the result is parsed again and compared with the edited trees. What
cannot be made safe is refused with a sentence. Nothing in here sees a row.
"""

from interlock.protocols.postgres.masking.index import MaskingIndex
from interlock.protocols.postgres.masking.lineage import trace
from interlock.protocols.postgres.masking.rewriting import Rewriting, rewrite

__all__ = ["MaskingIndex", "Rewriting", "rewrite", "trace"]
