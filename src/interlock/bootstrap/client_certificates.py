"""Whether listeners ask clients for a certificate: where trust domains are configured that may sign one."""

import ssl
from collections.abc import Sequence
from pathlib import Path

from interlock.core.errors import ConfigurationError
from interlock.core.settings import Settings
from interlock.runtime.certificate_tls import CertificateContext, ListenerTls


def asking_for_certificates(
    settings: Settings, context: ssl.SSLContext, files: tuple[Path, Path], protocols: Sequence[str]
) -> ListenerTls:
    """A listener's TLS, which asks for certificates if any would be believed. Raises ``ConfigurationError``."""
    if not settings.trust_domains:
        return context
    try:
        return CertificateContext(*files, protocols)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
