"""What a listener takes out of its certificate's file."""

import ssl
from pathlib import Path

from interlock.adapters.certificate import listener_tls
from interlock.core.settings import PostgresSettings
from tests.servers.certificates import CertificateAuthority


def test_a_chain_begins_with_the_listeners_own(certificate_authority: CertificateAuthority, tmp_path: Path) -> None:
    """Channel binding is to that one, however many follow it."""
    for names in (("localhost",), ("localhost", "a"), ("localhost", "ab"), ("localhost", "abc")):
        own = certificate_authority.issue_server(names)
        leaf = own.certificate_file.read_text()
        chain = tmp_path / "chain.pem"
        chain.write_text(leaf + certificate_authority.certificate_file.read_text())
        settings = PostgresSettings(tls_certificate=str(chain), tls_key=str(own.key_file))
        assert listener_tls(settings, tmp_path, 0)[1] == ssl.PEM_cert_to_DER_cert(leaf)
