"""The gateway's own MCP server: what an agent can do about itself. Reached through the gateway only."""
