"""Secrets in addresses, which no message may show. What could be a secret is hidden too."""

import re

MASK = "***"

# Not the example of our own messages.
_BEGIN = "(?P<begin>://|%3A%2F%2F)(?!user:password@host/)"
_USER = re.compile(rf"{_BEGIN}[^\s/]*(?P<end>@|%40)", re.IGNORECASE)
# A password may have any mark that should have been encoded, as the secret keys of AWS do. So a number is surely a port
# only after what is surely a host.
_PORT = r"(?:localhost|\d+(?:\.\d+){3}|\[[\da-f:.]*\]):\d{1,5}(?!\w)"
_PASSWORD = re.compile(rf"{_BEGIN}(?!{_PORT})[^\s/@:]*:", re.IGNORECASE)
# A password ends before the next address or line.
_PARTS = re.compile(r"(?<=\s)(?=\S*://)|(?<=\n)")
# An option can be encoded, and stand in another one, as in `odbc_connect`.
_OPTION = re.compile(
    r"(?P<name>(?:[?&;#=]|%[\da-f]{2})[^\s=&;?#%]*(?:pass|pwd|secret|token|key|credential|sig|auth)[^\s=&;?#%]*"
    r"(?:=|%3D))(?:'[^']*'|\"[^\"]*\"|[^\s&]*[^\s&'\"),.:;\]])",
    re.IGNORECASE,
)
_PASSWORD_OPTION = re.compile(r"(?:password|pwd)(?:=|%3D)(?!&|%26|;|%3B|$)", re.IGNORECASE)


def masked(text: str) -> str:
    """The text with asterisks instead of users, passwords and secret options of the URLs in it."""
    text = "".join(map(_without_password, _PARTS.split(text)))
    text = _USER.sub(rf"\g<begin>{MASK}\g<end>", text)
    return _OPTION.sub(rf"\g<name>{MASK}", text)


def holds_password(url: str) -> bool:
    """Whether the URL has a password, or what could be one."""
    url = "".join(url.split())
    found = _PASSWORD.search(url)
    return (found is not None and url.rfind("@") > found.end()) or _PASSWORD_OPTION.search(url) is not None


def _without_password(text: str) -> str:
    found, end = _PASSWORD.search(text), text.rfind("@")
    return text if found is None or end < found.end() else text[: found.end("begin")] + MASK + text[end:]
