"""What a person's or a workload's own machine does with a gateway, as one of its clients.

ports            what that takes
sign_in          logging in: with a browser here, or on another machine
session_tokens   session tokens: kept, or exchanged for what the machine can prove
gateway_client   all of it together, for one gateway
"""
