"""``interlock demo``: the gateway at work, on one machine, with nothing to configure.

Starts a sample PostgreSQL and a gateway as processes of their own, lets a scripted agent work through the gateway
with an ordinary client library, checks what comes back, and shows the evidence. It uses the gateway as anyone would,
by its command and its settings file, and imports nothing else of it.
"""
