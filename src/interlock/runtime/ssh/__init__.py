"""SSH in the runtime: a library speaks its transport, and this carries channels between the two sides."""
