"""How fast the gateway finds out who somebody is: checks of proofs, and new authenticated PostgreSQL sessions.

``python -m benchmarks.identity --help``. Each round measures every way in turn, in an order that shifts from round to
round. A new session is TLS, a login, a query and a farewell; clients, gateway and server share one machine. Standard
output ends with one line of JSON; progress goes to standard error.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

from tests.servers.gateway import CONNECTION

from benchmarks import identity_checks, measures, ways
from benchmarks.machine import print_machine
from benchmarks.processes import processor_s
from benchmarks.samples import Samples, print_table, summary
from benchmarks.ways import DIRECT, GATEWAY, PGBOUNCER, Way
from interlock.core import merkle

_PLAIN = GATEWAY["standard"]
_TOKEN = "gateway, token"
_SESSION_TOKEN = "gateway, session token"
_NAMES = (DIRECT, PGBOUNCER, _PLAIN, _TOKEN, _SESSION_TOKEN)
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_JWT = "urn:ietf:params:oauth:token-type:jwt"


def main() -> None:
    options = _options()
    print_machine(merkle, options)
    samples = Samples()
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "one.sql"
        script.write_text("SELECT 1;\n")
        with ways.open_ways((PGBOUNCER, _PLAIN), tls=True) as opened:
            opened += _with_tokens(opened[-1])
            for number in range(options.rounds):
                first = number % len(opened)
                for way in opened[first:] + opened[:first]:
                    _one_round(way, script, options, samples)
                    print(f"round {number + 1}  {way.name}", file=sys.stderr)
    medians = samples.medians()
    print_table(medians, _NAMES)
    checks = identity_checks.measured()
    print(json.dumps(checks))
    print(json.dumps({"identity": summary(medians, _SESSION_TOKEN, (DIRECT, PGBOUNCER)) | {"checks": checks}}))


def _one_round(way: Way, script: Path, options: argparse.Namespace, samples: Samples) -> None:
    """New sessions a second, and what one costs the process in the middle."""
    before_s = processor_s(way.pid) if way.pid is not None else 0.0
    rate = measures.sessions_per_s(way.endpoint, script, options.clients, options.seconds)
    samples.add("sessions_per_s", way.name, rate)
    if way.pid is not None:
        samples.add("processor_ms", way.name, (processor_s(way.pid) - before_s) / (rate * options.seconds) * 1000)


def _with_tokens(plain: Way) -> list[Way]:
    """The gateway with a token of its issuer as password, and with one that it gave in exchange."""
    assert plain.server is not None
    token = plain.server.token("bench", ["benchmarks"], ttl_s=3600)
    fields = {"grant_type": _EXCHANGE, "subject_token": token, "subject_token_type": _JWT, "audience": CONNECTION}
    form = "application/x-www-form-urlencoded"
    answer = plain.server.api().request("POST", "/oauth2/token", urlencode(fields).encode(), Content_Type=form)
    passwords = {_TOKEN: token, _SESSION_TOKEN: answer.json["access_token"]}
    return [
        replace(plain, name=name, endpoint=replace(plain.endpoint, password=password, user="agent"))
        for name, password in passwords.items()
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure checks of identities, and new sessions a second.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all ways (default 3)")
    parser.add_argument("--seconds", type=int, default=5, help="length of one run (default 5)")
    parser.add_argument("--clients", type=int, default=4, help="clients at one time (default 4)")
    parser.add_argument("--quick", action="store_true", help="one short round: whether it works, not how fast it is")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 1
    return options


if __name__ == "__main__":
    main()
