"""The DVC remote"""
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dvc.config import Config

from champion.errors import UserError


@dataclass(frozen=True)
class Remote:
    """The remote that plain `dvc push` and `dvc pull` use, with its settings."""

    name: str
    url: str
    settings: dict[str, str]

    @property
    def bucket(self) -> str:
        return urlsplit(self.url).netloc


def default_remote(root: Path) -> Remote:
    config = Config(str(root / ".dvc"))
    name = config["core"]["remote"]
    settings = config["remote"][name]
    return Remote(name, settings["url"], settings)
