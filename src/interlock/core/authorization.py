"""What the gateway's own command line asks of it in a browser: an authorization request (RFC 6749 section 4.1.1).

Values only. Such a request is made by a program on the person's own machine, and is answered there.
"""

import msgspec


class AuthorizationRequest(msgspec.Struct, frozen=True):
    """A request that has been checked: where the code goes, what is given back with it, and what proves its receiver.

    ``challenge`` is the S256 code challenge of RFC 7636.
    """

    redirect_uri: str
    challenge: str
    state: str = ""

    def __repr__(self) -> str:
        return f"AuthorizationRequest({self.redirect_uri!r})"
