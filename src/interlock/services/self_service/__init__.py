"""What an agent can do about itself, through the gateway's own MCP server.

knowledge     which connections it may use, and what it may do there
queries       SQL through the gateway's own listener, as an ordinary client
"""
