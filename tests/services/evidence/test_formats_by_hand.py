"""The formats as docs/evidence.md describes them, read with nothing of the gateway."""

import base64
import contextlib
import hashlib
import hmac
import io
import re
import struct
import zlib
from pathlib import Path

import msgspec
import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.adapters.evidence import Gateway, session_id

from interlock.adapters.recordings.recorder import RecordingLimits

DOCUMENT = Path(__file__).parents[3] / "docs" / "evidence.md"
SESSION = session_id(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    gateway = Gateway(directory, limits=RecordingLimits(max_operation_bytes=6))
    gateway.session(1, [(b"select 1", b"answer one"), (b"select 2", b"two")])
    gateway.close()
    return directory


def entries(data: Path) -> list[bytes]:
    (segment,) = (data / "ledger" / "segments").glob("*.seg")
    stored = segment.read_bytes()
    assert segment.name == "00000000000000000000.seg"
    assert stored[:8] == b"ILKLEDG1"
    found, place = [], 8
    while place < len(stored):
        length, crc = struct.unpack_from(">II", stored, place)
        found.append(stored[place + 8 : place + 8 + length])
        assert zlib.crc32(found[-1]) == crc
        place += 8 + length
    return found


def records(data: Path, kind: str) -> list[dict[str, object]]:
    decoded = [msgspec.msgpack.decode(entry)[4] for entry in entries(data)]
    return [record for record in decoded if record["kind"] == kind]


def session_key(data: Path) -> bytes:
    wrapped = records(data, "session.opened")[0]["wrapped_key"]
    assert isinstance(wrapped, bytes)
    return wrapped[-32:]


def test_entries_are_numbered_and_linked(data: Path) -> None:
    prev = bytes(32)
    for number, entry in enumerate(entries(data)):
        form, sequence, _, link, _ = msgspec.msgpack.decode(entry)
        assert (form, sequence, link) == (1, number, prev)
        prev = hashlib.sha256(b"\x00" + entry).digest()


def test_the_documented_script_computes_the_signed_root(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = (data / "ledger" / "checkpoints").read_text()
    origin, size, root, _, signature, *_ = log.split("\n")
    script = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert script is not None
    source = re.sub(r"size = 4096.*", f"size = {size}", script[1])
    monkeypatch.chdir(data)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "docs/evidence.md", "exec"), {})
    assert printed.getvalue().strip() == base64.b64decode(root).hex()

    name, key_id, encoded = (data / "ledger" / "key.pub").read_text().strip().split("+", 2)
    raw = base64.b64decode(signature.split(" ")[2])
    assert (origin, raw[:4].hex()) == (name, key_id)
    public_key = Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded)[1:])
    public_key.verify(raw[4:], f"{origin}\n{size}\n{root}\n".encode())


def test_requests_and_chunks_open_with_the_session_key(data: Path) -> None:
    cipher = AESGCM(session_key(data))
    sealed = records(data, "operation.decided")[0]["sealed"]
    assert isinstance(sealed, bytes)
    assert sealed[:4] == b"req\0"
    clear = cipher.decrypt(sealed[:12], sealed[12:], SESSION.encode() + (1).to_bytes(8, "big"))
    assert msgspec.msgpack.decode(clear) == [b"select 1", b"", 8, 0, b"", b""]
    asked = (8).to_bytes(8, "big") + b"select 1"
    assert records(data, "operation.decided")[0]["digest"] == hashlib.sha256(asked).digest()

    (tape,) = (data / "recordings").rglob("*.rec")
    stored = tape.read_bytes()
    assert stored[:34] == b"ILKREC01" + SESSION.encode()
    assert records(data, "recording.stored")[0]["sha256"] == hashlib.sha256(stored[34:]).digest()
    length, counter = struct.unpack_from(">IQ", stored, 34)
    assert len(stored) == 34 + 12 + length
    packed = cipher.decrypt(b"chk\0" + counter.to_bytes(8, "big"), stored[46:], SESSION.encode())
    frames = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(packed))
    assert frames == [[500_000, "answer", 1, b"answer"], [1_000_000, "answer", 2, b"two"]]


def test_a_gap_can_be_compared_with_the_session_key(data: Path) -> None:
    (gap,) = records(data, "recording.gap")
    key = hmac.digest(session_key(data), b"interlock recording gap", "sha256")
    assert gap["sha256"] == hmac.digest(key, b" one", "sha256")
