"""Tells people what happens, over the channels that settings name. Grants, holds and denies nothing.

messages      what is said about approvals, locks and alerts
wording       a message as plain text that nothing in it can forge
ports         what it takes: an outbox, channels, statements
delivery      one channel: attempts, back-off, giving up
notifications who is told what; storms become one message
excerpts      the beginning of a statement, where a channel is to have it
room          commands
"""
