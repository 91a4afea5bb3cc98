"""Whatever strangers write, a message stays what it is. The forger is hypothesis."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from interlock.core.notification import Excerpt, Letter
from interlock.services.notifications.messages import MAX_FACT_LENGTH, MAX_TITLE_LENGTH, message
from interlock.services.notifications.wording import BAR, text_of, title_of, without_links, without_markup

FORGED = st.text(max_size=400) | st.lists(
    st.sampled_from(
        ["\n", "\r\n", "Open: ", "https://evil.example", "www.evil.example", "<!channel>", "@all", "`", "\u202e"]
    )
).map("".join)
LINK = "https://gate.example/approvals/1"


def letter(foreign: str, statement: str) -> Letter:
    facts = (("principal", f"agent {foreign}"), ("connection", "shop"))
    return Letter(
        "1", message("approval.requested", f"Approval needed: {foreign}", facts, LINK, "1", 0.0), Excerpt(statement)
    )


@given(FORGED, FORGED)
def test_no_line_is_forged(foreign: str, statement: str) -> None:
    for safe in (without_links, without_markup):
        title, text = title_of(letter(foreign, statement), safe), text_of(letter(foreign, statement), safe)
        assert "\n" not in title
        lines = text.split("\n")
        assert lines[0].startswith("principal: ")
        assert lines[1:5] == ["connection: shop", "", f"Open: {LINK}", ""]
        assert lines[5] == "Statement, without its bound values:"
        assert all(line.startswith(BAR) for line in lines[6:])
        shown = title + text.replace(LINK, "")
        assert "://" not in shown
        assert not any(unicodedata.category(sign)[0] == "C" for sign in shown.replace("\n", "").replace("\t", ""))


@given(FORGED)
def test_no_markup_is_left(foreign: str) -> None:
    text = text_of(letter(foreign, foreign), without_markup).replace(LINK, "").replace(BAR, "")
    assert not set("<>&@*`[]~|") & set(text)


@given(st.text(max_size=2000))
def test_what_is_cut_says_so(foreign: str) -> None:
    made = letter(foreign, "").message
    assert len(made.title) <= MAX_TITLE_LENGTH
    fact = dict(made.facts).get("principal", "")
    assert len(fact) <= MAX_FACT_LENGTH
    assert len(foreign) <= MAX_FACT_LENGTH - len("agent ") or fact.endswith(" (cut)")


def test_a_statement_that_is_cut_says_so() -> None:
    cut = Letter("1", letter("x", "").message, Excerpt("DELETE", 99))
    assert "Beginning of the statement; 99 bytes are cut off:" in text_of(cut, without_links)
