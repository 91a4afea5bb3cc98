"""Incidents: from the first lock to a bundle of evidence. All that is known of one is read from the ledger."""
