"""Each detector on what it must find, whole and nothing more, and on what looks alike and is something else."""

import base64
import datetime
import hashlib
import json
import random
import string
import uuid
from collections.abc import Callable

import pytest

from interlock.core.detection import find, find_classes, scanner
from interlock.core.detectors import DETECTORS, iban, luhn
from interlock.core.masking import DETECTOR_CLASSES

# A finding stands between guillemets.
FOUND = {
    "email": [
        "«jane@example.com»",
        "«Jane.O'Brien+news@mail.example.co.uk», please",
        "<«j@x.io»>",
        "mailto:«j_d@sub-domain.example.museum»",
        "q=«jane%40example.com»&x=1",
        r"{\"a\": \"«jane\u0040example.com»\"}",
        "«jane&#64;example.com»",
        '«"john doe"@example.com»',
        "«jösé@exämple.de»",
        "«用户@例子.中国»",
        "('«jane@example.com»')",
        "to «x@bücher.example».",
        "«x@bcher.xn--p1ai»",
        "«JANE@EXAMPLE.COM»",
        r"a line\n«jane@example.com»\tanother",
        "«a@b.co»,«c@d.org»",
    ],
    "credit-card": [
        "«4111111111111111»",
        "«4111 1111 1111 1111»",
        "«4111-1111-1111-1111»",
        "«4111–1111–1111–1111»",
        "«378282246310005»",
        "«3782 822463 10005»",
        "«30569309025904»",
        "«6011111111111117»",
        "«5105105105105100»",
        "«2223003122003222»",
        "«3530111333300000»",
        "«6212345678900000003»",
        "card «4111111111111111».",
        "id 12 «4111 1111 1111 1111» exp 12/27",
        "«4111 1111 1111 1111» «5500 0055 5555 5559»",
        "{«4111111111111111»,«5555555555554444»}",
        r"x\n«4111111111111111»",
        "card_«4111111111111111»",
        "(«4111111111111111»/12/27)",
    ],
    "iban": [
        "«DE89370400440532013000»",
        "«DE89 3704 0044 0532 0130 00» and so on",
        "«GB82 WEST 1234 5698 7654 32»",
        "«gb82west12345698765432»",
        "«FR1420041010050500013M02606»",
        "«NO9386011117947»",
        "iban:«MT84MALT011000012345MTLCAST001S»,",
        "«NL91ABNA0417164300»",
    ],
    "ssn": [
        "«078-05-1120»",
        "ssn «078-05-1120».",
        "(«078‑05‑1120»)",
        "SSN: «078051120»",
        '"ssn": "«078051120»"',
        "«078 05 1120»",
        "ssn=«078 05 1120»",
        "social security number «078051120»",
    ],
    "phone": [
        "«+1 415 555 0132»",
        "«+14155550132»",
        "«%2B14155550132»",
        "«+49 (0)30 1234567»",
        "«+44 20 7946 0958»",
        "tel:«+1-201-555-0123»",
        "«(415) 555-0132»",
        "«415-555-0132»",
        "«415.555.0132»",
        "«1-800-555-0199»",
        "«0049 30 1234567»",
        "rue 3, «06 12 34 56 78», Paris",
        "«(030) 12345678»",
        "«0171/12345678»",
        "«020 7946 0958»",
        "«07700 900123»",
        "phone: «5550132»",
        '"homePhone": "«4155550132»"',
        "Tel. «030 123456»",
        "mobile=«07700900123»",
    ],
    "secret": [
        "«AKIAIOSFODNN7EXAMPLE»",
        "token «ghp_a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2»",
        "«github_pat_11ABCDEFG0abcdefghijkl_mnop»",
        "«xoxb-123456789012-abcdefGHIJ»",
        "«sk_live_4eC39HqLyjWDarjtT1zdp7dc»",
        "«AIzaSyD-1234567890abcdefghijklmnopqrstu»",
        "«eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc123_-»",
        "«-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----»\n",
        "«-----BEGIN RSA PRIVATE KEY-----\nMIIE and cut off»",
        "postgres://u:«s3cr3t»@db/x",
        "redis://:«p4ss@rd1»@cache:6379",
        "password=«hunter2»",
        '{"password": "«S3cure!pass»"}',
        "api_key: «9f8e7d6c5b4a39281706f5e4d3c2b1a0»",
        "Authorization: Bearer «abcdef0123456789ABCDEF»",
        "aws_secret_access_key = «wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»",
        "PGPASSWORD=«x9!kLm2p»",
        "pwd: «correcthorsebatterystaple»",
        "«$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW»",
    ],
}
ALIKE = {
    "email": [
        "user@localhost",
        "lodash@4.17.21",
        "logo@2x.png",
        "git@github.com:org/repo.git",
        "@app.route",
        "a @ b.co",
    ],
    "credit-card": [
        "4111111111111112",
        "1111111111111117",
        "0.4111111111111111",
        "41111111111111110000",
        "ab4111111111111111",
        "4111111111111111cd",
        "4012888888881",
        "4111 11 11 1111 1111",
        "0000000000000000",
    ],
    "iban": ["DE88370400440532013000", "XX89370400440532013000", "DE8937040044053201300", "xDE89370400440532013000"],
    "ssn": ["000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "123-45-0000", "1078-05-1120", "078-05-1120-1"],
    "phone": [
        "+0530",
        "+12345678.9",
        "2024-01-02",
        "415-155-0132",
        "+40.7128 -74.0060",
        "04-73-15-65-69-f5",
        "01 02 03",
    ],
    "secret": [
        "password: required",
        "password=********",
        "password = current_password",
        "token: user_id_2",
        "api_key: your-api-key-here",
        "https://example.com:8443/a@b",
        "postgres://u:$PGPASSWORD@h/db",
        "basic information about it",
        "eyJ0eXAi.abc.def",
        "-----BEGIN CERTIFICATE-----",
    ],
}


def marked(name: str, text: str) -> str:
    """The text with the findings of one class between guillemets."""
    data = text.encode()
    for start, end, _ in reversed(scanner({name}).find(data)):
        data = data[:start] + "«".encode() + data[start:end] + "»".encode() + data[end:]
    return data.decode()


def test_there_is_a_detector_for_each_class() -> None:
    assert tuple(DETECTORS) == DETECTOR_CLASSES


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in FOUND.items() for text in texts])
def test_found_exactly(name: str, text: str) -> None:
    assert marked(name, text.replace("«", "").replace("»", "")) == text


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in ALIKE.items() for text in texts])
def test_alike_is_not_found(name: str, text: str) -> None:
    assert marked(name, text) == text


def test_checksums() -> None:
    assert luhn(b"79927398713")
    assert not any(luhn(b"7992739871%d" % digit) for digit in range(10) if digit != 3)
    assert iban(b"GB82WEST12345698765432")
    assert not iban(b"GB28WEST12345698765432")


RANDOM = random.Random()


def moment() -> datetime.datetime:
    return datetime.datetime(2020, 1, 1) + datetime.timedelta(seconds=RANDOM.random() * 2e8)


def numbers(least: int, most: int, separator: str, count: int = 6) -> str:
    return separator.join(str(RANDOM.randint(least, most)) for _ in range(count))


def document() -> str:
    return json.dumps(
        {
            "id": RANDOM.randint(1, 10**9),
            "created": str(moment()),
            "total": round(RANDOM.random() * 1e4, 2),
            "password_changed_at": str(moment()),
            "token_count": RANDOM.randint(0, 100_000),
            "phone_verified": True,
            "api_key": None,
        }
    )


BENIGN: dict[str, Callable[[], str]] = {
    "uuid": lambda: str(uuid.UUID(int=RANDOM.getrandbits(128))),
    "hash": lambda: hashlib.sha256(RANDOM.randbytes(8)).hexdigest(),
    "capital hash": lambda: hashlib.sha1(RANDOM.randbytes(8)).hexdigest().upper(),
    "picture": lambda: base64.b64encode(b"\x89PNG\r\n\x1a\n" + RANDOM.randbytes(200)).decode(),
    "bytea": lambda: "\\x" + RANDOM.randbytes(60).hex(),
    "timestamp": lambda: f"{moment()}+00",
    "iso timestamp": lambda: f"{moment().isoformat()}+10:30",
    "log line": lambda: moment().strftime("[%d/%b/%Y:%H:%M:%S +1030] 200 2326"),
    "range": lambda: f'["{moment()}+10","{moment()}+10")',
    "german date": lambda: moment().strftime("%d.%m.%Y %H:%M"),
    "compact date": lambda: moment().strftime("%Y%m%d%H%M%S"),
    "microseconds": lambda: str(int(moment().timestamp() * 1e6)),
    "float": lambda: repr(RANDOM.random() * 10 ** RANDOM.randint(-5, 8)),
    "coordinates": lambda: f"{RANDOM.uniform(-90, 90):+.4f} {RANDOM.uniform(-180, 180):+.4f}",
    "price": lambda: f"EUR {RANDOM.random() * 1e5:.2f}",
    "large price": lambda: f"{RANDOM.random() * 1e8:,.2f}",
    "integer": lambda: str(RANDOM.getrandbits(31)),
    "array": lambda: "{" + numbers(0, 10**6, ",") + "}",
    "address": lambda: numbers(0, 255, ".", 4),
    "IPv6": lambda: ":".join(f"{RANDOM.getrandbits(16):x}" for _ in range(8)),
    "MAC": lambda: ":".join(f"{RANDOM.getrandbits(8):02x}" for _ in range(6)),
    "order": lambda: f"ORD-{RANDOM.randint(2019, 2025)}-{RANDOM.randint(0, 999999):06d}",
    "long order": lambda: f"{RANDOM.randint(100, 999)}-{RANDOM.randint(0, 10**7):07d}-{RANDOM.randint(0, 10**7):07d}",
    "version": lambda: "v" + numbers(0, 200, ".", 3),
    "browser": lambda: f"Mozilla/5.0 (X11; Linux x86_64) Chrome/{numbers(1000, 9999, '.', 2)} Safari/537.36",
    "ISBN": lambda: f"978-3-{RANDOM.randint(0, 9999):04d}-{RANDOM.randint(0, 9999):04d}-{RANDOM.randint(0, 9)}",
    "EAN": lambda: str(RANDOM.randint(4 * 10**12, 5 * 10**12)),
    "ULID": lambda: "".join(RANDOM.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=26)),
    "name": lambda: "".join(RANDOM.choices(string.ascii_lowercase, k=12)).title(),
    "document": document,
}


@pytest.mark.parametrize("kind", BENIGN)
def test_benign_values_have_no_hit(kind: str) -> None:
    RANDOM.seed(kind)
    for value in [BENIGN[kind]().encode() for _ in range(300)]:
        assert find(value) == [], value


@pytest.mark.parametrize("text", ["jane@example.com", "078-05-1120", "+1 415 555 0132", "4111 1111 1111 1111"])
def test_encoded_text_is_found(text: str) -> None:
    plain = text.encode()
    long = b"The note of the day says " + plain + b", and there is more of it than fits in a line."
    for encoded in (
        base64.b64encode(plain),
        base64.b64encode(plain).rstrip(b"="),
        base64.encodebytes(long),
        base64.encodebytes(long).replace(b"\n", b"\\n"),
        plain.hex().encode(),
        b"\\x" + plain.hex().encode(),
    ):
        assert find_classes(encoded) == find_classes(plain) != frozenset()
        assert scanner(DETECTORS).redact(b"<" + encoded + b">")[0] in (b"<***>", b"<***\n>", b"<***\\n>")
