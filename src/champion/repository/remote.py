"""The DVC remote that this repository names, and whether it can be used."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientError as AioClientError
from botocore.exceptions import BotoCoreError
from botocore.exceptions import ClientError as BotoClientError
from dvc.config import Config, ConfigError
from dvc.exceptions import DvcException
from dvc.repo import Repo

from champion.core.errors import UserError
from champion.repository.process import refuse_absurd_params
from champion.repository.s3_check import why_unusable

# Errors when the server stops answering, or starts to refuse, during the read of an S3 object.
BROKEN_OFF = (BotoCoreError, BotoClientError, AioClientError, ConnectionError, PermissionError, TimeoutError)
# Settings of a DVC remote, and the names that botocore's clients have for them.
CLIENT_OPTIONS = {
    "region": "region_name",
    "endpointurl": "endpoint_url",
    "access_key_id": "aws_access_key_id",
    "secret_access_key": "aws_secret_access_key",
    "session_token": "aws_session_token",
    "ssl_verify": "verify",
}


@dataclass(frozen=True)
class Remote:
    """The remote that plain `dvc push` and `dvc pull` use, with its settings."""

    name: str
    url: str
    settings: dict[str, Any]

    @property
    def is_on_s3(self) -> bool:
        """Whether the remote is a bucket on any S3 service."""
        return urlsplit(self.url).scheme == "s3"

    @property
    def bucket(self) -> str:
        """The bucket of an S3 remote."""
        return urlsplit(self.url).netloc

    def why_unusable(self) -> str | None:
        """Why the objects cannot be listed, in one sentence; None if they can be, or if the remote is not on S3."""
        if not self.is_on_s3:
            return None
        options = {ours: self.settings[theirs] for theirs, ours in CLIENT_OPTIONS.items() if theirs in self.settings}
        return why_unusable(
            self.bucket, urlsplit(self.url).path.lstrip("/"), options, profile=self.settings.get("profile")
        )


def default_remote(root: Path) -> Remote:
    """The remote of .dvc/config. Raises `UserError` when there is none."""
    try:
        config = Config(Repo.find_dvc_dir(str(root)))
    except (DvcException, ConfigError) as error:
        raise UserError(f".dvc/config or .dvc/config.local: {error}. Correct it.") from None
    name = config["core"].get("remote")
    settings = dict(config["remote"].get(name, {}))
    if not settings:
        raise UserError(".dvc/config defines no default remote. Add one: `dvc remote add --default NAME URL`.")
    return Remote(name, str(settings.pop("url")), settings)


def usable(root: Path) -> Remote:
    """The remote of .dvc/config. Raises `UserError` when there is none, or when its objects cannot be listed."""
    remote = default_remote(root)
    reason = remote.why_unusable()
    if reason:
        raise UserError(f"the remote {remote.url} cannot be used: {reason}")
    return remote


@contextmanager
def opened(root: Path, remote: Remote | None) -> Iterator[Repo]:
    """The repository as DVC sees it. What the remote or DVC raises in the block becomes a `UserError`."""
    refuse_absurd_params(root)
    try:
        with Repo(str(root)) as repo:
            yield repo
    except BROKEN_OFF as error:
        if remote is None:
            raise
        reason = remote.why_unusable() or f"the connection was lost ({type(error).__name__}). Run this again."
        raise UserError(f"the remote {remote.url} cannot be used: {reason}") from None
    except DvcException as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"DVC cannot read this repository: {reason}. Correct dvc.yaml, dvc.lock, params.yaml or .dvc/config; "
            "`champion resolve-lock` resolves a merge conflict in dvc.lock."
        ) from None
