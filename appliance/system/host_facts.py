"""What this host says, for doctor: names it can resolve, certificates it has, files it may open.

Judges nothing (doctor/host_findings.py does). Everything here blocks and is called in a
thread.
"""

from __future__ import annotations

import os
import pwd
import resource
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.doctor.host_findings import AuthorityFacts, CertificateFacts

if TYPE_CHECKING:
    # Imported where it is used: megabytes that only doctor needs.
    from cryptography import x509


def resolve_name(host: str) -> str:
    """Return why a name cannot be resolved, empty if it can."""
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or "no valid name"
    return ""


def read_file_limit() -> int:
    """Return how many files and connections this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def own_user() -> str:
    """Return the name of the user that this process runs as, its number if there is none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def read_certificate(cert_file: Path, key_file: Path) -> CertificateFacts:
    """Read the certificate that the listener shows."""
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


def read_authorities(ca_file: Path) -> AuthorityFacts:
    """Read the certificates of the authorities that BBB servers are trusted by."""
    from cryptography import x509

    try:
        certificates = x509.load_pem_x509_certificates(ca_file.read_bytes())
    except (OSError, ValueError) as error:
        return AuthorityFacts(problem=getattr(error, "strerror", None) or "no certificate")
    return AuthorityFacts(
        ends_s=tuple(
            (
                one.subject.rfc4514_string() or "one without a name",
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
