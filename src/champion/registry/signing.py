"""Ed25519 signatures of ledger rows. CHAMPION_LEDGER_KEY has the private key, config/environments.yaml the public keys.

A key is the base64 of 32 raw bytes (RFC 8032); for a private key, these are the seed.
"""

import base64
import binascii
import os
from collections.abc import Callable, Collection
from pathlib import Path

from champion.core.errors import ConflictError, UserError

VARIABLE = "CHAMPION_LEDGER_KEY"
KEYS = "`ledger_public_keys` in config/environments.yaml"
# This prefix makes a signature valid only for a ledger row.
_PURPOSE = b"champion ledger row "


def new_key() -> tuple[str, str]:
    """A new private key, and its public key."""
    private = base64.b64encode(os.urandom(32)).decode()
    return private, public_key(private)


def write_private_key(path: Path, private: str) -> None:
    """Write the key to a new file that only its owner can read. Raises `UserError` when the file exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UserError(
            f"{path}: the file already exists, and a key is never overwritten. Choose another --output."
        ) from None
    with os.fdopen(descriptor, "w") as stream:
        stream.write(f"{private}\n")


def public_key(private: str) -> str:
    """The public key of a private key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return base64.b64encode(
        Ed25519PrivateKey.from_private_bytes(_raw(private)).public_key().public_bytes_raw()
    ).decode()


def signer(keys: Collection[str], environment: str) -> tuple[str, Callable[[str], str]] | None:
    """The public key and a function that signs a hash; None if the ledger needs no key and none is set.

    Raises `ConflictError` when the key is missing or may not write, because the new row would be a break.
    """
    private = os.environ.get(VARIABLE, "").strip()
    if not private:
        if keys:
            raise ConflictError(
                f"the ledger of {environment} is signed, but the environment variable {VARIABLE} is not set. Set it to "
                f"a private key whose public key is in {KEYS}. Nothing was changed."
            )
        return None
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        key = Ed25519PrivateKey.from_private_bytes(_raw(private))
    except ValueError:
        raise UserError(f"{VARIABLE} is not a private key (not shown). `champion ledger-key` makes one.") from None
    public = public_key(private)
    if public not in keys:
        raise ConflictError(
            f"the key of {VARIABLE} may not write to the ledger of {environment}. Add its public key {public} to "
            f"{KEYS}, or unset {VARIABLE}."
        )
    return public, lambda digest: base64.b64encode(key.sign(_PURPOSE + digest.encode())).decode()


def is_signed(digest: str, public: str, signature: str | None) -> bool:
    """Whether the private key of this public key signed the hash."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(_raw(public))
        key.verify(base64.b64decode(signature or "", validate=True), _PURPOSE + digest.encode())
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _raw(key: str) -> bytes:
    content = base64.b64decode(key, validate=True)
    if len(content) != 32:
        raise binascii.Error("a key has 32 bytes")
    return content
