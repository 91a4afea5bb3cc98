"""Generated secrets and their verifiers, against another implementation of SCRAM."""

import base64

import scramp  # type: ignore[import-untyped]

from interlock.services.generated_secret import generate_secret, make_verifier


def test_secrets_are_long_random_and_plain() -> None:
    secrets = {generate_secret() for _ in range(100)}
    assert len(secrets) == 100
    for secret in secrets:
        assert len(base64.urlsafe_b64decode(secret + "=")) == 32
        assert secret.replace("-", "").replace("_", "").isalnum()


def test_a_verifier_is_what_another_implementation_makes_of_the_secret() -> None:
    mechanism = scramp.ScramMechanism("SCRAM-SHA-256")
    salt, stored_key, server_key, iterations = mechanism.make_auth_info("s3cret", iteration_count=4096, salt=b"s" * 16)
    salt_text, stored_text, server_text = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    expected = f"SCRAM-SHA-256${iterations}:{salt_text}${stored_text}:{server_text}"
    assert make_verifier("s3cret", salt=b"s" * 16) == expected


def test_a_verifier_has_a_salt_of_its_own() -> None:
    assert make_verifier("s3cret") != make_verifier("s3cret")
    assert "s3cret" not in make_verifier("s3cret")
