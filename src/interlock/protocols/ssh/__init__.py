"""SSH: what happens on the channels of a connection. Reads no packets of the transport: a library does that."""
