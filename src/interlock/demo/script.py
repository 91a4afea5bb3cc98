"""What the agent does, as data: each step with what has to come back and why."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Rows:
    """So many rows come back, and ``hidden`` is in none of them."""

    count: int
    hidden: str = ""


@dataclass(frozen=True)
class Lines:
    """A COPY comes back with so many lines."""

    count: int


@dataclass(frozen=True)
class Refusal:
    """The statement is refused: by which rule, with which words in the message, and how the ledger calls it."""

    rule: str
    words: str
    decision: str = "denied"


Expected = Rows | Lines | Refusal


@dataclass(frozen=True)
class Step:
    """One statement of the agent. ``why`` explains to the reader what the policy says about it."""

    title: str
    statement: str
    expected: Expected
    why: str
    parameters: tuple[object, ...] = ()


TABLES: Final = {"customers": 8, "orders": 40}
"""How many rows the sample database has, before and after."""

STEPS: Final = (
    Step(
        "A read",
        "SELECT name, email, country FROM customers WHERE country = %s ORDER BY name",
        Rows(3),
        "Rule ci-reads permits the group ci-bots to read.",
        ("PT",),
    ),
    Step(
        "A look-up by what is masked",
        "SELECT name, upper(email) AS email, card, row_to_json(c) FROM customers AS c WHERE email = %s",
        Rows(1, hidden="rui.carvalho"),
        "E-mail addresses and card numbers are masked: whatever is done with them, their values never come out.",
        ("rui.carvalho@example.com",),
    ),
    Step(
        "A DROP",
        "DROP TABLE customers",
        Refusal("never-drop", "Propose a migration instead"),
        "Nothing reached the database. The connection stays usable.",
    ),
    Step(
        "A DELETE without WHERE",
        "DELETE FROM orders",
        Refusal("never-change-all-rows", "Add a WHERE clause"),
        "The meaning counts, not the text: WHERE true or WHERE 1 = 1 would be refused as well.",
    ),
    Step(
        "Several statements in one string",
        "SELECT count(*) FROM orders; UPDATE customers SET card = ''",
        Refusal("never-change-all-rows", "Add a WHERE clause"),
        "The string is decided as a whole, so the SELECT in it was not run either.",
    ),
    Step(
        "A COPY",
        "COPY (SELECT id, placed_on, item, total FROM orders WHERE total > 75 ORDER BY id) TO STDOUT",
        Lines(11),
        "Copying out is reading, for policy and in the recording.",
    ),
    Step(
        "The same connection again",
        "SELECT status, count(*) FROM orders GROUP BY status ORDER BY status",
        Rows(3),
        "Three refusals later the session works as before.",
    ),
)
