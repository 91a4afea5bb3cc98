"""The gateway as an authorization server for its own tokens (RFC 6749, RFC 8414, RFC 8693)."""
