"""psql: meta-commands, several statements in one string, cursors behind the scenes, COPY, errors, Ctrl-C."""

import signal
import subprocess

from tests.clients.programs import Outcome, popen_arguments, run
from tests.clients.scratch import Scenario, fresh_schema, sleep_statement, wait_until_sleeping
from tests.servers.endpoint import Endpoint
from tests.servers.postgres import client_program


def script(endpoint: Endpoint, text: str, *arguments: str) -> Outcome:
    fresh_schema(endpoint)
    return run(endpoint, "psql", "-X", *arguments, script=text)


def describes(endpoint: Endpoint) -> object:
    return script(
        endpoint, "\\d scratch.items\n\\d+ scratch.cheap\n\\dt scratch.*\n\\df scratch.*\n\\dT scratch.*\n\\dn\n\\l\n"
    )


def selects(endpoint: Endpoint) -> object:
    return script(endpoint, "SELECT * FROM scratch.items ORDER BY id;\n\\x\nTABLE scratch.parts LIMIT 3;\n\\gdesc\n")


def several_statements_in_one_string(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    count = "SELECT count(*) FROM scratch.parts"
    good = f"BEGIN; DELETE FROM scratch.parts WHERE id < 5; {count}; ROLLBACK; {count}"
    bad = f"DELETE FROM scratch.parts WHERE id = 1; SELECT 1/0; {count}"
    return [run(endpoint, "psql", "-X", "-c", text) for text in (good, bad, count, "", ";", "-- nothing")]


def many_rows(endpoint: Endpoint) -> object:
    query = "SELECT n, repeat('x', n % 100) FROM generate_series(1, 20000) n;\n"
    return script(endpoint, f"{query}\\set FETCH_COUNT 1000\n{query}", "-At")


def copies(endpoint: Endpoint) -> object:
    return script(
        endpoint,
        "CREATE TABLE scratch.copied (n integer, t text);\n"
        '\\copy scratch.copied FROM stdin (FORMAT csv)\n1,one\n2,"two, zwei"\n3,\n\\.\n'
        "COPY scratch.copied FROM stdin;\n4\tfour\n5\t\\N\n\\.\n"
        "COPY scratch.copied FROM stdin;\nnot a number\tx\n\\.\n"
        "\\copy (SELECT * FROM scratch.copied ORDER BY n) TO stdout (FORMAT csv, HEADER)\n"
        "COPY scratch.items TO stdout;\n",
    )


def errors_and_notices(endpoint: Endpoint) -> object:
    return script(
        endpoint,
        "\\set VERBOSITY verbose\nSELECT nothing;\nSELECT 1/0;\nSELEC;\nSELECT scratch.complain('why');\n"
        "BEGIN;\nINSERT INTO scratch.parts VALUES (1, 1, 'twice');\nSELECT 1;\nSAVEPOINT s;\nROLLBACK;\nSELECT 2;\n"
        "SELECT 'abc'::integer;\n\\errverbose\n",
    )


def variables_and_generated_statements(endpoint: Endpoint) -> object:
    return script(
        endpoint,
        "SELECT count(*) AS items FROM scratch.items \\gset\n\\echo :items\n"
        "SELECT format('SELECT %L', label) FROM scratch.items ORDER BY id LIMIT 3 \\gexec\n"
        "SHOW server_version;\nSHOW client_encoding;\nSHOW application_name;\nSET TimeZone TO 'Asia/Tokyo';\n"
        "SELECT seen_at FROM scratch.items WHERE id = 1;\nDISCARD ALL;\nSHOW TimeZone;\n"
        "PREPARE p (integer) AS SELECT label FROM scratch.items WHERE id = $1;\nEXECUTE p (3);\nDEALLOCATE p;\n",
    )


def notifications(endpoint: Endpoint) -> object:
    return script(endpoint, "LISTEN channel;\nNOTIFY channel, 'payload';\nSELECT 1;\nUNLISTEN *;\nNOTIFY channel;\n")


def interrupts(endpoint: Endpoint) -> object:
    """Ctrl-C sends a CancelRequest; the session stays usable."""
    program = subprocess.Popen(
        [client_program("psql"), "-X", "-At", "-c", sleep_statement("psql"), "-c", "SELECT 'still here'"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        **popen_arguments(endpoint),
    )
    try:
        wait_until_sleeping(endpoint, "psql")
        program.send_signal(signal.SIGINT)
        output, errors = program.communicate(timeout=30)
    finally:
        program.kill()
        program.communicate()
    return program.returncode, output, errors


SCENARIOS: tuple[Scenario, ...] = (
    describes,
    selects,
    several_statements_in_one_string,
    many_rows,
    copies,
    errors_and_notices,
    variables_and_generated_statements,
    notifications,
    interrupts,
)
