"""fetch of Node.js."""

import json
import shutil
import subprocess

from tests.clients.http_scenarios.materials import FIELDS, PATH

NODE = shutil.which("node")
_PROGRAM = """
const [base, headers, path, fields] = process.argv.slice(1).map((word, at) => at % 2 ? JSON.parse(word) : word);
const seen = [];
async function tell(answer) {
  seen.push([answer.status, answer.headers.get("content-type"), answer.redirected, await answer.text()]);
}
for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"])
  await tell(await fetch(base + path + "?" + new URLSearchParams(JSON.parse(fields)), {method, headers}));
const json = {...headers, "Content-Type": "application/json"};
await tell(await fetch(base + "/echo", {method: "POST", headers: json, body: JSON.stringify({id: 7, name: "Zürich"})}));
await tell(await fetch(base + "/form", {method: "POST", headers, body: new URLSearchParams(JSON.parse(fields))}));
const form = new FormData();
form.append("name", "Ada");
form.append("file", new Blob(["a file"], {type: "text/plain"}), "file.txt");
await tell(await fetch(base + "/form", {method: "POST", headers, body: form}));
const pieces = new ReadableStream({
  start(controller) {
    for (let n = 0; n < 50; n++) controller.enqueue(new TextEncoder().encode("piece " + n));
    controller.close();
  },
});
await tell(await fetch(base + "/upload", {method: "POST", headers, body: pieces, duplex: "half"}));
for (const rest of ["/stream", "/events", "/compressed", "/redirect?to=/echo", "/redirect?to=..%2Fecho", "/status/404"])
  await tell(await fetch(base + rest, {headers}));
const head = await fetch(base + "/large", {method: "HEAD", headers});
seen.push([head.status, head.headers.get("content-length"), head.headers.get("etag")]);
const many = await Promise.all([...Array(40).keys()].map(n => fetch(base + "/n/" + n, {headers}).then(a => a.json())));
seen.push(many.map(one => one.path));
console.log(JSON.stringify(seen));
"""


def visit(base: str, headers: dict[str, str]) -> list[object]:
    assert NODE is not None
    arguments = [base, json.dumps(headers), PATH, json.dumps(json.dumps(FIELDS))]
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", _PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: list[object] = json.loads(done.stdout)
    return seen
