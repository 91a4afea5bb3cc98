"""The embedded state store: one SQLite file for what must outlive a start and is not evidence.

schema            the tables, as migrations
database          the file, one reading connection, one writing thread
identities        identities registered by hand, with the verifiers of their secrets
connections       connections added by commands, and sealed credentials
locks             locks in force
sessions          the list of sessions that people search; the ledger is the truth
"""
