"""Which addresses may be called: the one rule for settings and clients."""

import ipaddress
import re
from urllib.parse import urlsplit

NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_host(host: str) -> bool:
    """Whether a host can be looked up: a name as DNS has it, or an address."""
    try:
        return bool(NAME.fullmatch(host) or ipaddress.ip_address(host))
    except ValueError:
        return False


def may_be_called(url: str, *, with_query: bool = False) -> bool:
    """Whether secrets may go to this address: https (http on loopback only), a host, and no user or fragment."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    plain = not (parts.username or parts.password or parts.fragment or (parts.query and not with_query))
    return secure and plain and port != 0 and is_host(host) and not re.search(r"[\s\\]", url)
