"""What can go wrong with a source, sorted by what the caller should do next.

Messages name what was tried, the class of the failure and the path without its query. They never hold a
body, a credential or the text of a library's exception (those quote whole URLs).
"""

import ssl
from collections.abc import Iterator

import requests
import urllib3


class SourceError(Exception):
    """A source could not be read."""


class TransientSourceError(SourceError):
    """Timeouts, broken connections, 429 or 5xx that outlasted the bounded retries: a later try can help."""


class PermanentSourceError(SourceError):
    """Refused or misconfigured: the same call will fail again until somebody changes something."""


class LoginRefusedError(PermanentSourceError):
    """The credentials are not accepted: no call of this client can be answered."""


class PartialFetchError(SourceError):
    """A read that ended early, or that cannot prove that it is whole. What was read so far is genuine."""


class UnreadableAnswerError(TransientSourceError):
    """The source answered 200, but never with content of the shape asked for."""


class OversizedAnswerError(UnreadableAnswerError):
    """The answer is larger than allowed, which another try would not change."""


class UnreadableRecordError(SourceError):
    """Stands in a page for one element that cannot be read. The message says why, without content.

    `text` is the element as received, up to 1 MB of it, with bytes that are not UTF-8 written as escapes.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(reason)
        self.text = text


def error_of_status(status: int) -> SourceError:
    """The error that an HTTP status other than 200 stands for."""
    if status >= 500 or status in (408, 425, 429):
        return TransientSourceError(f"HTTP {status}")
    if 200 <= status < 300:
        return UnreadableAnswerError(f"HTTP {status} instead of 200")
    if 300 <= status < 400:
        return PermanentSourceError(f"HTTP {status}: a redirect, which is not followed; is the base address right?")
    if status == 401:
        return PermanentSourceError("HTTP 401, with a new token too: the account may lack the right")
    return PermanentSourceError(f"HTTP {status}")


def error_of_exception(error: Exception) -> SourceError:
    """The error that an exception of the HTTP libraries stands for: its most telling class, not its text."""
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return PermanentSourceError("the certificate of the server does not verify")
    timeouts = (requests.Timeout, urllib3.exceptions.ReadTimeoutError)
    telling = next((cause for cause in causes if isinstance(cause, timeouts)), causes[-1])
    name = type(telling).__name__
    if isinstance(error, ValueError):  # an unusable address or header: nothing was sent
        return PermanentSourceError(f"the request cannot be built ({name})")
    return TransientSourceError(name)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it wraps, outermost first. The libraries hide causes in `args` and `reason` too."""
    found = [error]
    for one in found:  # grows meanwhile
        yield one
        inner = (one.__cause__, getattr(one, "reason", None), *one.args)
        found += [cause for cause in inner if isinstance(cause, BaseException) and cause not in found]
