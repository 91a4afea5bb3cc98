"""Bundles: complete, checkable offline, and every change is found."""

import base64
import tarfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from interlock.adapters.evidence_files import FileEvidenceStore
from interlock.adapters.recordings.keys import WrappedSessionKeys
from interlock.core.administration.incidents import BundleIncident, BundleMade, ReadBundle
from interlock.core.chain import decode_entry
from interlock.core.errors import AdministrationRefused, EvidenceError, LedgerUnavailable, NotFound
from interlock.core.evidence import VerificationReport
from interlock.core.identity import local_actor
from interlock.core.ledger import AnyRecord, PolicyActivated
from interlock.services.evidence import EvidenceVerifier
from interlock.services.evidence.bundle import REPORTS, BundleManifest
from tests.adapters.evidence import SIGNER, session_id
from tests.services.incidents.incident_bench import INCIDENT, World

VERIFIER = EvidenceVerifier(FileEvidenceStore(), WrappedSessionKeys(None))
RITA = local_actor("rita")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "data")
    world.session(("select", "C a|R secret-of-one"))
    world.session(("select", "C a|R secret-of-two"))
    world.session(("select", "C a|R other"), principal="other", owner="zoe")
    world.open()
    yield world
    world.close()


async def make(world: World) -> BundleMade:
    async def accept(record: AnyRecord) -> None:
        world.gateway.ledger.append_now(record)

    return await world.bundling.make(BundleIncident(INCIDENT), RITA, accept)


async def bundle(world: World) -> Path:
    made = await make(world)
    return world.directory / "bundles" / f"{INCIDENT}-{made.sha256}.tar"


def unpacked(file: Path, target: Path) -> Path:
    with tarfile.open(file) as archive:
        archive.extractall(target, filter="data")
    return target


def verify(path: Path) -> VerificationReport:
    return VERIFIER.verify(path, SIGNER.verifier_key)


async def test_a_bundle_is_complete_and_good(world: World, tmp_path: Path) -> None:
    file = await bundle(world)
    report = verify(file)
    assert report.findings == ()
    assert (report.sessions, report.open_sessions, report.chunks) == (2, 0, 2)
    assert report.entries == report.covered
    place = unpacked(file, tmp_path / "unpacked")
    assert verify(place).findings == ()
    lines = (place / "entries.jsonl").read_bytes().splitlines()
    records = [decode_entry(base64.b64decode(msgspec.json.decode(line)["entry"])).record for line in lines]
    assert any(isinstance(record, PolicyActivated) for record in records)
    assert session_id(3) not in "".join(map(repr, records))
    assert not any(b"secret-of" in part.read_bytes() for part in place.rglob("*") if part.is_file())


async def test_every_part_counts(world: World, tmp_path: Path) -> None:
    place = unpacked(await bundle(world), tmp_path / "unpacked")
    recording = f"recordings/{session_id(1)}.rec"
    for name in (*REPORTS, "entries.jsonl", recording):
        data = (place / name).read_bytes()
        (place / name).write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
        assert not verify(place).ok, name
        (place / name).unlink()
        assert not verify(place).ok, name
        (place / name).write_bytes(data)
    assert verify(place).ok


async def test_a_missing_entry_is_found(world: World, tmp_path: Path) -> None:
    place = unpacked(await bundle(world), tmp_path / "unpacked")
    lines = (place / "entries.jsonl").read_bytes().splitlines(keepends=True)
    for number in range(len(lines)):
        (place / "entries.jsonl").write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
        assert not verify(place).ok, number


async def test_a_missing_session_is_found(world: World, tmp_path: Path) -> None:
    place = unpacked(await bundle(world), tmp_path / "unpacked")
    manifest = msgspec.json.decode((place / "manifest.json").read_bytes(), type=BundleManifest)
    less = msgspec.structs.replace(manifest, sessions=manifest.sessions[:1])
    (place / "manifest.json").write_bytes(msgspec.json.format(msgspec.json.encode(less)) + b"\n")
    assert not verify(place).ok
    (place / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    with pytest.raises(EvidenceError, match="not an incident bundle"):
        verify(place)


async def test_another_incident_cannot_take_its_place(world: World, tmp_path: Path) -> None:
    place = unpacked(await bundle(world), tmp_path / "unpacked")
    manifest = (place / "manifest.json").read_bytes()
    (place / "manifest.json").write_bytes(manifest.replace(INCIDENT.encode(), b"1" * 26))
    assert not verify(place).ok


async def test_pieces_are_of_the_bundle_that_was_asked_for(world: World) -> None:
    first = await make(world)
    piece = await world.bundling.piece(ReadBundle(INCIDENT, first.sha256))
    assert (len(piece.data), piece.end) == (first.size_bytes, True)
    second = await make(world)
    assert second.entries == first.entries + 1  # the first one's own entry
    with pytest.raises(NotFound, match="make a new one"):
        await world.bundling.piece(ReadBundle(INCIDENT, first.sha256))


async def test_what_the_ledger_does_not_take_is_not_made(world: World) -> None:
    async def refuse(record: AnyRecord) -> None:
        raise LedgerUnavailable("the disk is full")

    with pytest.raises(LedgerUnavailable):
        await world.bundling.make(BundleIncident(INCIDENT), RITA, refuse)
    assert not (world.directory / "bundles").exists()


async def test_a_bundle_that_cannot_be_written_leaves_the_older_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await bundle(world)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("interlock.adapters.evidence_files.FilePackageWriter.put", full)
    with pytest.raises(AdministrationRefused, match="No space left"):
        await make(world)
    assert [one.name for one in file.parent.iterdir()] == [file.name]
