"""Pseudonyms of users: the log has no user's name."""

import hmac
from hashlib import sha256


def pseudonym(users_key: bytes, user_id: str) -> str:
    """The same word for the same user (HMAC with SHA-256), from which nobody without the key can tell the user."""
    return hmac.digest(users_key, user_id.encode(errors="surrogatepass"), sha256).hex()
