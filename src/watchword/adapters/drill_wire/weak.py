"""Make TLS contexts that offer one weak thing and nothing better."""

import ssl
import warnings
from pathlib import Path
from typing import Final

from watchword.adapters.drill_wire.stream import tls_context
from watchword.drill.interface import MissingError, Need
from watchword.drill.wire import Weakness

_VERSIONS: Final = {
    Weakness.TLS_1_0: ssl.TLSVersion.TLSv1,
    Weakness.TLS_1_1: ssl.TLSVersion.TLSv1_1,
}
_SUITES: Final = {
    Weakness.NO_ENCRYPTION: "eNULL:!aNULL",
    Weakness.NO_AUTHENTICATION: "aNULL:!eNULL",
    Weakness.NO_FORWARD_SECRECY: "kRSA:!eNULL",
    Weakness.SHORT_BLOCKS: "3DES:DES:IDEA:!aNULL",
}
_ANY: Final = "ALL:COMPLEMENTOFALL:!aNULL:!eNULL"


def weak_context(weakness: Weakness, ca: Path | None) -> ssl.SSLContext:
    """Return a context that offers nothing but this weakness; the certificate is checked as ever, where there is one.

    :raises MissingError: when this machine's OpenSSL is built without it.
    """
    context = tls_context(ca)
    try:
        # OpenSSL's level 0 allows what it would never do by itself; Python warns of it, which is the point here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            version = _VERSIONS.get(weakness, ssl.TLSVersion.TLSv1_2)
            context.minimum_version = min(version, ssl.TLSVersion.TLSv1_2)
            context.maximum_version = version
        context.set_ciphers(f"{_SUITES.get(weakness, _ANY)}:@SECLEVEL=0")
    except (ssl.SSLError, ValueError):
        raise MissingError(Need.WEAK_TLS, weakness.value) from None
    if weakness is Weakness.NO_AUTHENTICATION:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
