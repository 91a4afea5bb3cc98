"""What columns are often called when they hold something that not everybody should see. A hint is not a finding."""

import re
from typing import Final, NamedTuple


class NameHint(NamedTuple):
    """A hint and the tag that it proposes."""

    hint: str
    tag: str


_TAGS: Final = {
    "pii": (
        "email e_mail mail phone telephone mobile fax ssn social_security passport national_id tax_id birth birthday"
        " birthdate dob firstname first_name lastname last_name fullname full_name surname forename maiden_name"
        " address street zip postcode postal_code gender nationality ethnicity religion latitude longitude"
    ),
    "financial": "iban bic card card_number credit_card pan cvv cvc account_number salary wage income bonus",
    "secret": "password passwd pwd passphrase secret token api_key apikey private_key credential otp pin salt",
    "health": "diagnosis disease medication blood_type disability",
}
_WHOLE: Final = {"name": "pii"}  # in longer names it is what things are called
_HINTS: Final = {hint: tag for tag, hints in _TAGS.items() for hint in hints.split()}
_LONGEST_FIRST: Final = sorted(_HINTS, key=len, reverse=True)
_HINT: Final = re.compile(rf"(?:^|_)({'|'.join(_LONGEST_FIRST)})s?(?=_|$)")
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def name_hint(column: str) -> NameHint | None:
    """The first hint in a column's name, whose words are separated by case or by other characters than letters."""
    words = "_".join(_WORD.findall(column)).lower()
    if words in _WHOLE:
        return NameHint(words, _WHOLE[words])
    found = _HINT.search(words)
    return NameHint(found[1], _HINTS[found[1]]) if found else None
