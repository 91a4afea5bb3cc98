"""What is read from the requests of browsers."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.requests import Request

from interlock.surfaces.api.problems import RequestProblem


def client_address(request: Request) -> str:
    """The host that a request comes from; empty for this machine."""
    return request.client.host if request.client else ""


def single(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Parameters by name. Raises RequestProblem when one is there twice: who reads which would be open."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise RequestProblem(400, f"{name[:40]!a} is given more than once")
        found[name] = value
    return found


def origin_of(url: str) -> str:
    """The origin of an https URL, as browsers write it (RFC 6454 section 6.2); empty for none."""
    place = urlsplit(url)
    return f"{place.scheme}://{place.netloc}".lower().removesuffix(":443") if url else ""
