"""HTTP/1.1 on the wire (RFC 9112), read strictly and written anew.

Whatever two recipients could read in two ways is refused: what is accepted has exactly one method, target, list of
fields, body and end. Nothing here forwards a byte that it did not understand, and nothing does I/O.
"""
