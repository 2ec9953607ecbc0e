"""Inspect this host: name resolution, certificates, the limit of open files.

Judges nothing: doctor/host_findings.py does. Everything blocks and runs in a thread.
"""

from __future__ import annotations

import os
import pwd
import resource
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Imported by the functions that use it: it takes megabytes of memory.
    from cryptography import x509


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """Contents of a certificate that a listener presents; times in seconds since the epoch."""

    problem: str = ""
    """Why it cannot be used; empty: it is readable and matches its key."""
    begins_s: float = 0.0
    ends_s: float = 0.0
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AuthorityFacts:
    """Contents of a file of certificate authorities."""

    problem: str = ""
    """Why it cannot be used; empty: it is readable."""
    ends_s: tuple[tuple[str, float], ...] = ()
    """Subject and expiry of each, in seconds since the epoch."""


def resolve_name(host: str) -> str:
    """Return why a name cannot be resolved; empty: it can."""
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or "not a valid name"
    return ""


def read_file_limit() -> int:
    """Return the limit of open files and connections of this process."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def own_user() -> str:
    """Return the name of the user that this process runs as, or its uid if it has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def read_certificate(cert_file: Path, key_file: Path) -> CertificateFacts:
    """Read the certificate that the listener presents."""
    from cryptography import x509

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert_file, key_file)
        certificate = x509.load_pem_x509_certificates(cert_file.read_bytes())[0]
    except ssl.SSLError as error:
        return CertificateFacts(problem=error.reason or "no certificate and key in PEM")
    except (OSError, ValueError) as error:
        return CertificateFacts(problem=getattr(error, "strerror", None) or "no certificate")
    return CertificateFacts(
        begins_s=certificate.not_valid_before_utc.timestamp(),
        ends_s=certificate.not_valid_after_utc.timestamp(),
        names=_names(certificate),
    )


def authorities_problem(ca_file: Path) -> str:
    """Return why a file of authorities cannot be used; empty: it can."""
    try:
        ca_file.open("rb").close()
        ssl.create_default_context(cafile=str(ca_file))
    except ssl.SSLError as error:
        return f"{ca_file}: {error.reason or 'no certificate in PEM'}"
    except OSError as error:
        return f"{ca_file}: {error.strerror}"
    return ""


def certificate_problem(certificate: Path, key: Path) -> str:
    """Return why a certificate and its key cannot be used; empty: they can."""
    for path in (certificate, key):
        try:
            path.open("rb").close()
        except OSError as error:
            return f"{path}: {error.strerror}"
    asked = False

    def refuse_password() -> str:
        """Have OpenSSL fail with an encrypted key, where it would ask the terminal."""
        nonlocal asked
        asked = True
        return ""

    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, refuse_password)
    except (OSError, ValueError) as error:
        if asked:
            return f"{key} is encrypted; the service needs a key without a passphrase"
        return getattr(error, "reason", None) or "no certificate and key in PEM"
    return ""


def read_authorities(ca_file: Path) -> AuthorityFacts:
    """Read the certificates of a file of authorities."""
    from cryptography import x509

    try:
        certificates = x509.load_pem_x509_certificates(ca_file.read_bytes())
    except (OSError, ValueError) as error:
        return AuthorityFacts(problem=getattr(error, "strerror", None) or "no certificate")
    return AuthorityFacts(
        ends_s=tuple(
            (
                one.subject.rfc4514_string() or "a certificate without a subject",
                one.not_valid_after_utc.timestamp(),
            )
            for one in certificates
        )
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    from cryptography import x509
    from cryptography.x509.oid import ExtensionOID

    try:
        found = certificate.extensions.get_extension_for_oid(
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME
        ).value
    except x509.ExtensionNotFound:
        return ()
    assert isinstance(found, x509.SubjectAlternativeName)
    return tuple(name.lower() for name in found.get_values_for_type(x509.DNSName))
