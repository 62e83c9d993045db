"""The keys with which a caller of the server proves who it is. Only their hashes are kept."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from champion.core.errors import UserError

ADD = "key-add"
REVOKE = "key-revoke"
# The actions whose rows have all keys of an environment.
ACTIONS = frozenset({ADD, REVOKE})


def hash_key(key: str) -> str:
    """Hexadecimal SHA-256 of the key."""
    # A key is 256 random bits, so nobody can try all of them, as one can with passwords. A slow, salted hash would only
    # make each request slower.
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True)
class ApiKeys:
    """The SHA-256 of each valid key, by the name of the key."""

    hashes: Mapping[str, str]

    @classmethod
    def parse(cls, keys: Mapping[str, Mapping[str, Any]]) -> Self:
        """The keys as a row about keys has them in `details["keys"]`. Raises `UserError` when they are not keys."""
        try:
            return cls({name: str(key["sha256"]) for name, key in keys.items()})
        except (AttributeError, KeyError, TypeError):
            raise UserError("the API keys are damaged. The next `champion keys` writes them again.") from None

    def name_of(self, key: str) -> str | None:
        """The name of the key; None when it is not valid."""
        given, found = hash_key(key).encode(), None
        # All are compared, so the time says neither whether nor which.
        for name, sha256 in self._encoded:
            if hmac.compare_digest(sha256, given):
                found = name
        return found

    @cached_property
    def _encoded(self) -> list[tuple[str, bytes]]:
        return [(name, sha256.encode()) for name, sha256 in self.hashes.items()]
