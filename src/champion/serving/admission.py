"""Who may ask, and how often."""

from collections.abc import Mapping
from http import HTTPStatus

from champion.environments import Serving
from champion.registry.api_keys import ApiKeys
from champion.serving.limits import RateLimit
from champion.serving.problems import Problem


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
        if name is None:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "Send a valid API key as `Authorization: Bearer KEY`.",
                headers={b"www-authenticate": b"Bearer"},
            )
        if not self._limit.allows(name):
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"The key may send {self._per_second:g} requests in a second. Wait for the next one.",
                headers={b"retry-after": b"1"},
            )
