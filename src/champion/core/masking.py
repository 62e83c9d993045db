"""Secrets in addresses, which no message may show."""

import re

MASK = "***"

# The marks before and after user and password can be percent-encoded.
_BEGIN = r"(?:://|%3A%2F%2F)"
_END = r"(?:@|%40)"
# The example of our own messages.
_EXAMPLE = "(?!user:password@)"
_USER = re.compile(rf"(?P<begin>{_BEGIN}){_EXAMPLE}[^\s/?#'\"<>]*(?P<end>{_END})", re.IGNORECASE)
# A password may contain any mark that should have been encoded, as the secret keys of AWS do. A port is no password.
_PASSWORD = re.compile(
    rf"(?P<begin>://){_EXAMPLE}[^\s/@:'\"<>]*:(?!\d{{1,5}}(?:[/?#'\",)\]\s]|$))(?P<password>[^\s<>]*)(?P<end>@)"
)
_OPTION = re.compile(
    r"(?P<name>[?&;][^\s=&;?'\"]*(?:pass|pwd|secret|token|key|credential|signature|sig)[^\s=&;'\"]*=)[^\s&;#'\"<>)]+",
    re.IGNORECASE,
)


def masked(text: str) -> str:
    """The text with asterisks instead of users, passwords and secret options of the URLs in it."""
    for pattern in (_PASSWORD, _USER):
        text = pattern.sub(rf"\g<begin>{MASK}\g<end>", text)
    return _OPTION.sub(rf"\g<name>{MASK}", text)


def holds_password(url: str) -> bool:
    """Whether the URL has a password."""
    found = _PASSWORD.search(url)
    return found is not None and found["password"] != ""
