"""What reviewers see: the exact statement and its values; whatever is not shown, or misleads, is said."""

import msgspec
import pytest

from interlock.bootstrap.interpretation import new_transcript
from interlock.core.approval import ApprovalView, Question, Rehearsal
from interlock.core.errors import EvidenceError
from interlock.protocols.ssh.transcript import SshTranscript
from interlock.services.approvals.view import view_of
from tests.services.approvals.bench import DBA, QUESTION, draft

VALUES = b"\0\0\0\2\0\0\0\x03one\xff\xff\xff\xff\0\0"


def view(asked: int = 1, accesses: tuple[str, ...] = (), **changes: object) -> ApprovalView:
    request = draft("d" * 64, (DBA,), id="r1", asked=asked, accesses=accesses)
    return view_of(request, msgspec.structs.replace(QUESTION, **changes), new_transcript, lambda one: f"link {one}")


def test_nothing_to_remark() -> None:
    seen = view(parameters=VALUES, parameter_bytes=len(VALUES))
    assert (seen.statement, seen.parameters) == ("DELETE FROM users", ("one", None))
    assert (seen.remarks, seen.link, seen.rehearsal) == ((), "link r1", None)


def test_what_is_cut_is_said() -> None:
    seen = view(text_bytes=5_000_000, parameters=VALUES, parameter_bytes=3_000_000)
    assert "Only the first 17 of 5000000 bytes of the statement are shown." in seen.remarks
    assert any("of 3000000 bytes of its values are shown; an approval covers all of them" in r for r in seen.remarks)


@pytest.mark.parametrize("text", ["DELETE FROM t -- \u202e", "DELETE\x1b[2K FROM t", "DELETE FROM t\u200b"])
def test_characters_that_mislead_are_said(text: str) -> None:
    seen = view(text=text.encode(), text_bytes=len(text.encode()))
    assert seen.statement == text
    assert any("do not show" in remark for remark in seen.remarks)


def test_what_is_executed_in_its_place_is_said() -> None:
    assert any("executed in its place: DELETE 2" in remark for remark in view(forwarded=b"DELETE 2").remarks)


def test_what_it_runs_by_name_is_said_with_its_values() -> None:
    seen = view(runs=((b"DELETE FROM t WHERE id = $1", VALUES), (b"DELETE FROM u", b"")), runs_left_out=3)
    assert seen.remarks[0] == "By name it runs: DELETE FROM t WHERE id = $1 with $1 = 'one', $2 = NULL"
    assert seen.remarks[1] == "By name it runs: DELETE FROM u"
    assert "3 more statements that it runs by name are not shown." in seen.remarks


def test_rows_of_a_copy_are_not_part_of_it() -> None:
    assert any("come after it" in remark for remark in view(accesses=("copy-in on Table public.t",)).remarks)


def test_how_often_it_was_asked_is_said() -> None:
    assert "It was asked 3 times." in view(asked=3).remarks


def test_a_rehearsal_is_shown_as_it_is() -> None:
    request = draft("d" * 64, (DBA,), id="r1")
    seen = view_of(request, QUESTION, new_transcript, str, Rehearsal("DELETE 12", held=True))
    assert seen.rehearsal == Rehearsal("DELETE 12", held=True)


def test_a_protocol_that_nobody_can_read_is_not_shown() -> None:
    with pytest.raises(EvidenceError, match="does not know"):
        view(protocol="telepathy")


def view_of_command(database: str = "deploy", **changes: object) -> ApprovalView:
    request = msgspec.structs.replace(draft("d" * 64, (DBA,), id="r1"), database=database)
    asked = Question("ssh", b"rm -rf /srv/old", b"", 15, 0, parameter_types=b"exec", noun="command")
    return view_of(request, msgspec.structs.replace(asked, **changes), lambda _: SshTranscript(), str)


def test_a_command_on_a_host_is_shown_with_its_login_and_variables() -> None:
    seen = view_of_command(parameters=b"LANG=C\0pty", parameter_bytes=10)
    assert (seen.noun, seen.statement, seen.parameters) == ("command", "$ rm -rf /srv/old", ("LANG=C",))
    assert seen.remarks == (
        "It is done as deploy on the host.",
        "What is typed or sent to it comes after it: that is not part of what is approved.",
    )


def test_a_command_on_a_terminal_is_shown_as_any_other() -> None:
    assert view_of_command(parameters=b"pty", parameter_bytes=3).statement == "$ rm -rf /srv/old"


def test_a_shell_is_shown_in_words() -> None:
    seen = view_of_command(text=b"", text_bytes=0, parameters=b"pty", parameter_bytes=3, parameter_types=b"shell")
    assert seen.statement == "shell on a terminal"


def test_why_a_command_is_opaque_is_said() -> None:
    assert "Nobody can say what it does: an eval\\n." in view_of_command(unknown="an eval\n").remarks


def test_questions_of_before_can_be_read() -> None:
    """Stored by a version that did not know of what is run by name."""
    fields = {"protocol": "postgres", "text": b"x", "parameters": b"", "text_bytes": 1, "parameter_bytes": 0}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(fields), type=Question).runs == ()


def test_the_body_of_a_request_over_http_is_part_of_its_text() -> None:
    head, body = b"POST /mcp HTTP/1.1\nhost: crm\ncontent-type: application/json\n", b'{"customer": "ann"}'
    seen = view(
        protocol="http",
        text=head,
        text_bytes=len(head),
        parameters=body,
        parameter_bytes=len(body),
        parameter_types=b"",
    )
    assert seen.statement.startswith("POST /mcp HTTP/1.1\n")
    assert '"customer"' in seen.statement
    assert seen.parameters == ()
    assert seen.remarks == ()
    hidden = view(
        protocol="http", text=head, text_bytes=len(head), parameters=b'{"a": "\xe2\x80\xae"}', parameter_bytes=9
    )
    assert any("do not show" in remark for remark in hidden.remarks)
