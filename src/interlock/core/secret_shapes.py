"""What secrets look like: keys and tokens with a known beginning, private keys, passwords in URLs and assignments.

Of an assignment or a URL only the secret itself is found, so that what is around it stays readable.
"""

import math
from collections import Counter
from collections.abc import Iterator

from interlock.core.patterns import Pattern

# Beginning and rest of tokens, by issuer.
_TOKENS = (
    rb"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",  # AWS access key
    rb"gh[pousr]_[A-Za-z0-9]{20,}",  # GitHub
    rb"github_pat_[A-Za-z0-9_]{22,}",
    rb"glpat-[A-Za-z0-9_-]{20,}",  # GitLab
    rb"xox[abeoprs]-[A-Za-z0-9-]{10,}",  # Slack
    rb"xapp-[0-9]-[A-Za-z0-9-]{10,}",
    rb"hooks\.slack\.com/services/[A-Za-z0-9/]{20,}",
    rb"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{10,}",  # Stripe
    rb"whsec_[A-Za-z0-9+/=]{20,}",
    rb"AIza[A-Za-z0-9_-]{35}",  # Google
    rb"ya29\.[A-Za-z0-9_-]{20,}",
    rb"GOCSPX-[A-Za-z0-9_-]{20,}",
    rb"sk-(?:proj|ant|svcacct|or)-[A-Za-z0-9_-]{20,}",  # OpenAI, Anthropic, OpenRouter
    rb"sk-[A-Za-z0-9]{32,}",
    rb"npm_[A-Za-z0-9]{36}",
    rb"pypi-[A-Za-z0-9_-]{50,}",
    rb"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",  # SendGrid
    rb"hf_[A-Za-z0-9]{30,}",  # Hugging Face
    rb"do[opr]_v1_[a-f0-9]{64}",  # DigitalOcean
    rb"hv[sbr]\.[A-Za-z0-9_-]{24,}",  # Vault
    rb"shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}",  # Shopify
    rb"\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}",  # password hashes: bcrypt, Argon2
    rb"\$argon2(?:id|i|d)\$[A-Za-z0-9$=,+/]{40,}",
    rb"AGE-SECRET-KEY-1[A-Z0-9]{50,}",
    rb"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*",  # JSON Web Token
)
_PRIVATE_KEY = rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_PRIVATE_KEY_REST = rb"(?:[^\x00]*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|[^\x00]*)"
_URL_PASSWORD = rb"[A-Za-z][A-Za-z0-9+.-]*://[^\s\x00:/@\"'<>?#]*:"
_URL_PASSWORD_REST = rb"([^\s\x00/\"'<>?#,]+)@"
_AUTHORIZATION = rb"(?i:bearer|basic)[ \t]+"
_CREDENTIAL = rb"([A-Za-z0-9._~+/-]{16,}=*)"

# Names of settings that hold a secret. A token is a common word, so its values must look the more random.
_PASSWORD_NAMES = rb"passwords?|passwd|passphrase|pwd|secret|client[_-]?secret|secret[_-]?key|secret[_-]?access[_-]?key"
_KEY_NAMES = rb"api[_-]?key|access[_-]?key|private[_-]?key|account[_-]?key|auth[_-]?key|[a-z]*[_-]?token|credentials?"
_ASSIGNED = rb"[\"'\\]*[ \t]*(?:=>|:=|[:=])[ \t]*[\"'\\]*"
_VALUE = rb"([^\s\x00\"'\\,;&<>(){}]{6,})"

HINT = b"|".join(
    (
        *_TOKENS,
        _PRIVATE_KEY,
        rb"://[^\s\x00:/@\"'<>?#]*:[^\s\x00/\"'<>?#,]+@",
        _AUTHORIZATION + rb"[A-Za-z0-9._~+/-]{16}",
        rb"(?i:" + _PASSWORD_NAMES + b"|" + _KEY_NAMES + rb")" + _ASSIGNED + rb"[^\s\x00\"'\\,;&<>(){}]{6}",
    )
)
_WHOLE = Pattern(b"|".join((*_TOKENS, _PRIVATE_KEY + _PRIVATE_KEY_REST)))
_IN_URL = Pattern(_URL_PASSWORD + _URL_PASSWORD_REST)
_PASSWORDS = Pattern(rb"(?i:" + _PASSWORD_NAMES + rb")" + _ASSIGNED + _VALUE)
_KEYS = Pattern(rb"(?i:" + _KEY_NAMES + rb")" + _ASSIGNED + _VALUE)
_AUTHORIZED = Pattern(_AUTHORIZATION + _CREDENTIAL)

_PASSWORD_MIN_BITS = 18.0
_KEY_MIN_BYTES = 16
_KEY_MIN_BITS_PER_BYTE = 3.0
_LETTERS = bytes(range(0x41, 0x5B)) + bytes(range(0x61, 0x7B))
_DIGITS = b"0123456789"


def spans(text: bytes) -> Iterator[tuple[int, int]]:
    """Where secrets are in ``text``; spans may overlap."""
    for start, end in _WHOLE.spans(text):
        if start == 0 or text[start - 1] not in _LETTERS + _DIGITS or text[start - 2 : start - 1] == b"\\":
            yield start, end
    for start, end in _IN_URL.spans(text):
        if not _is_stand_in(text[start:end]):
            yield start, end
    for start, end in _PASSWORDS.spans(text):
        if _is_password(text[start:end]):
            yield start, end
    for pattern in (_KEYS, _AUTHORIZED):
        for start, end in pattern.spans(text):
            if _is_key(text[start:end]):
                yield start, end


def _is_stand_in(value: bytes) -> bool:
    """Whether this is written where a secret would be: stars, a parameter, a variable."""
    return len(set(value)) < 3 or value[:1] in b"$%*[" or value.endswith(b"***")


def _is_password(value: bytes) -> bool:
    """Letters and digits with enough of them different, or a long run of nothing but letters."""
    if _is_stand_in(value):
        return False
    letters = sum(byte in _LETTERS for byte in value)
    digits = sum(byte in _DIGITS for byte in value)
    bits = _bits_per_byte(value) * len(value)
    mixed = letters > 0 and letters < len(value) and (digits > 0 or any(byte in b"!#@$%^&*?" for byte in value))
    return (mixed and bits >= _PASSWORD_MIN_BITS) or (letters == len(value) >= 20)


def _is_key(value: bytes) -> bool:
    """Long and random enough, with letters and digits."""
    if len(value) < _KEY_MIN_BYTES or _is_stand_in(value):
        return False
    mixed = any(byte in _LETTERS for byte in value) and any(byte in _DIGITS for byte in value)
    return mixed and _bits_per_byte(value) >= _KEY_MIN_BITS_PER_BYTE


def _bits_per_byte(value: bytes) -> float:
    """Shannon's entropy of the bytes."""
    total = len(value)
    return -sum(count / total * math.log2(count / total) for count in Counter(value).values())
