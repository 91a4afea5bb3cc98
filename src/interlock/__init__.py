"""Interlock: a Layer-7 access gateway for AI agents."""

__version__ = "0.1.0"
