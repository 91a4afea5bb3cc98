"""Signing in with SAML: what a provider really sends, and what somebody makes of it."""
