"""pgbench: its own loading, read-only and read-write scripts, in all three protocol modes."""

import re

from tests.clients.programs import run
from tests.clients.scratch import Scenario
from tests.servers.endpoint import Endpoint

_MODES = ("simple", "extended", "prepared")
_FACTS = re.compile(r"^(query mode|number of transactions actually processed|number of failed transactions).*", re.M)


def benches(endpoint: Endpoint) -> object:
    loaded = run(endpoint, "pgbench", "--initialize", "--scale=1", "--quiet", "-I", "dtgvpf")
    found: list[object] = [loaded.status]
    for mode in _MODES:
        for script in ("select-only", "tpcb-like"):
            outcome = run(
                endpoint,
                "pgbench",
                "-n",
                f"--builtin={script}",
                f"--protocol={mode}",
                "--client=2",
                "--transactions=50",
            )
            found += [outcome.status, outcome.errors, [match[0] for match in _FACTS.finditer(outcome.output)]]
    sums = "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches)"
    found.append(run(endpoint, "psql", "-XAtc", f"{sums}, count(*) FROM pgbench_history"))
    found.append(run(endpoint, "pgbench", "--initialize", "-I", "d").status)
    return found


SCENARIOS: tuple[Scenario, ...] = (benches,)
