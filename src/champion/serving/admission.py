"""Who may ask, and how often."""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from http import HTTPStatus

from champion.environments import Serving
from champion.registry.api_keys import ApiKeys
from champion.serving.limits import RateLimit
from champion.serving.problems import Problem

_FOR_PROGRAMS = "Send a valid API key as `Authorization: Bearer KEY`."
_FOR_PEOPLE = "Give a valid API key as the password. The name may be any."


class Admission:
    """Checks the API key of each request, and its rate limit."""

    def __init__(self, settings: Serving, limit: RateLimit) -> None:
        self._keys_required = settings.keys_required
        self._per_second = settings.requests_per_second
        self._limit = limit

    def admit(self, headers: Mapping[bytes, bytes], keys: ApiKeys) -> None:
        """Raise `Problem` when the request has no valid key, or its key has no request left in this second."""
        given = headers.get(b"authorization")
        if given is None and not self._keys_required:
            return
        scheme, _, key = (given or b"").partition(b" ")
        name = keys.name_of(key.strip().decode("latin-1")) if scheme.lower() == b"bearer" else None
        self._admit_name(name, _FOR_PROGRAMS, b"Bearer")

    def admit_person(self, headers: Mapping[bytes, bytes], keys: ApiKeys) -> None:
        """The same for a page: a browser asks the person for a name and a password, which is the key."""
        given = headers.get(b"authorization")
        if given is None and not self._keys_required:
            return
        scheme, _, encoded = (given or b"").partition(b" ")
        name = keys.name_of(_password(encoded)) if scheme.lower() == b"basic" else None
        self._admit_name(name, _FOR_PEOPLE, b'Basic realm="Champion", charset="UTF-8"')

    def _admit_name(self, name: str | None, sentence: str, challenge: bytes) -> None:
        if name is None:
            raise Problem(HTTPStatus.UNAUTHORIZED, sentence, headers={b"www-authenticate": challenge})
        if not self._limit.allows(name):
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"The key may send {self._per_second:g} requests in a second. Wait for the next one.",
                headers={b"retry-after": b"1"},
            )


def _password(encoded: bytes) -> str:
    """The password in what a browser sends (RFC 7617); empty if there is none."""
    try:
        return b64decode(encoded.strip(), validate=True).partition(b":")[2].decode("latin-1")
    except binascii.Error:
        return ""
