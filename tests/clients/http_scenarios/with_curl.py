"""curl: each command line with what it prints."""

import subprocess
import tempfile
from pathlib import Path

from tests.clients.http_scenarios.materials import FILE, PATH

_COMMANDS = (
    "{base}" + PATH + "?a=b+c",
    "-I {base}/large",
    "-X DELETE {base}/echo",
    "-d a=b&c=%C3%A9 {base}/form",
    "--data-urlencode name@{file} {base}/form",
    "-F name=Ada -F file=@{file};type=text/plain {base}/form",
    "-T {file} {base}/upload",
    "-T - -H Expect:100-continue {base}/upload",
    "--data-binary @{file} -H Expect:100-continue -H Content-Type:text/x {base}/upload",
    "-N {base}/stream",
    "-N {base}/events",
    "--compressed {base}/compressed",
    "-L {base}/redirect?to=/echo",
    "-L {base}/redirect?to=../echo",
    "-L --post302 -d x=y {base}/redirect?to=/echo",
    "-c {jar} {base}/login",
    "-b {jar} {base}/echo/x",
    "{base}/status/204",
    "{base}/status/404",
    "{base}/n/1 {base}/n/2 {base}/n/3",
    "-0 {base}/stream",
    "--http1.1 -H Connection:close {base}/echo",
)
_WRITTEN = "\\n%{http_code} %{content_type} %{size_download} %{num_redirects}\\n"


def visit(base: str, headers: dict[str, str]) -> list[object]:
    with tempfile.TemporaryDirectory() as directory:
        file, jar = Path(directory, "file.txt"), Path(directory, "jar")
        file.write_bytes(FILE)
        fields = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
        seen: list[object] = []
        for command in _COMMANDS:
            words = command.format(base=base, file=file, jar=jar).split()
            if "-I" in words:
                words += ["-o", "/dev/null"]
            done = subprocess.run(
                ["curl", "-q", "-sS", "--noproxy", "*", "-w", _WRITTEN, *fields, *words],
                input=FILE * 1000,
                capture_output=True,
                timeout=60,
                check=False,
            )
            seen.append((done.returncode, done.stdout.decode(errors="replace"), done.stderr))
        return seen
