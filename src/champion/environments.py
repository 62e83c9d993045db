"""The addresses of each environment: config/environments.yaml, with secrets only from environment variables."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from champion.core.errors import UserError
from champion.core.masking import holds_password
from champion.core.strict_yaml import Section, Sections, read

FILE = Path("config/environments.yaml")
VARIABLE = "ENVIRONMENT"
DEFAULT = "development"

# A spool has room for so many of the largest requests.
SPOOLED_BODIES = 16

_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
_KEY = re.compile(r"[A-Za-z0-9+/]{43}=")


class Thresholds(Section):
    """Limits of a smoke test: the largest difference from a stored prediction, and the time for one row and for all."""

    prediction_tolerance: Annotated[float, Field(ge=0)]
    row_latency_ms: Annotated[float, Field(gt=0)]
    seconds: Annotated[float, Field(gt=0)] = 60


class Serving(Section):
    """How a server answers: who may ask it, and how much.

    `requests_per_second` is for each key. A request must arrive within `request_seconds`. A challenger that takes more
    than `challenger_ms` for a request is slow; a rollout ends when `challenger_failures` of its last 100 answers were
    slow or errors.
    """

    keys_required: bool = True
    requests_per_second: Annotated[int, Field(gt=0)] = 1000
    max_body_kb: Annotated[int, Field(gt=0)] = 1024
    max_rows: Annotated[int, Field(gt=0)] = 1000
    request_seconds: Annotated[float, Field(gt=0)] = 10
    challenger_ms: Annotated[float, Field(gt=0)] = 50
    challenger_failures: Annotated[int, Field(gt=0, le=100)] = 5


class Predictions(Section):
    """How answers are logged, where `predictions_url` says where.

    A worker writes them to a file of this machine every `sync_seconds`; it has at most `spool_mb`. When it is full, the
    server refuses requests, or only counts the answers that it does not log. A server removes what is older than
    `retention_days`.
    """

    when_full: Literal["refuse", "count"] = "refuse"
    spool_mb: Annotated[int, Field(ge=16)] = 1024
    sync_seconds: Annotated[float, Field(gt=0, le=60)] = 0.2
    retention_days: Annotated[int, Field(gt=0)] | None = None


class Settings(Section):
    """One environment as written in the file. `${NAME}` is not filled in, so it holds no secret."""

    database_url: str
    registry_url: str
    model_store_url: str
    tracking_uri: str
    flags: str
    thresholds: Thresholds
    serving: Serving = Serving()
    predictions_url: str | None = None
    users_key: str | None = None
    predictions: Predictions = Predictions()
    promoted_from: str | None = None
    publish: bool = True
    ledger_public_keys: tuple[str, ...] = ()

    @field_validator("ledger_public_keys", mode="before")
    @classmethod
    def _are_public_keys(cls, keys: Any) -> Any:
        if not isinstance(keys, list) or not all(isinstance(key, str) and _KEY.fullmatch(key) for key in keys):
            # The message does not show the value, as it could be a private key.
            raise PydanticCustomError("keys", "should be a list of public keys, as `champion ledger-key` prints them")
        return tuple(keys)

    @model_validator(mode="after")
    def _logs_no_names(self) -> Self:
        if self.predictions_url is not None and not self.users_key:
            raise ValueError(
                "`predictions_url` needs `users_key`, a secret that makes pseudonyms of user ids. Give it as "
                "`${CHAMPION_USERS_KEY}`"
            )
        return self

    @model_validator(mode="after")
    def _spools_any_request(self) -> Self:
        least = math.ceil(self.serving.max_body_kb * SPOOLED_BODIES / 1024)
        if self.predictions.spool_mb < least:
            raise ValueError(f"`predictions.spool_mb` should be at least {least}, as `serving.max_body_kb` is so large")
        return self

    @model_validator(mode="after")
    def _holds_no_password(self) -> Self:
        for key in ("database_url", "registry_url", "model_store_url", "tracking_uri", "flags", "predictions_url"):
            if holds_password(_PLACEHOLDER.sub("", getattr(self, key) or "")):
                raise ValueError(
                    f"`{key}` holds a password (not shown). Put it in an environment variable, and `${{ITS_NAME}}` here"
                )
        return self


class File(Sections):
    """All of config/environments.yaml."""

    whole: ClassVar[bool] = True
    environments: dict[str, Settings]

    @model_validator(mode="after")
    def _promotions_lead_somewhere(self) -> Self:
        for name, settings in self.environments.items():
            if settings.promoted_from is not None and settings.promoted_from not in self.environments:
                raise ValueError(f"{name}.promoted_from: there is no environment {settings.promoted_from!r}")
        return self


@dataclass(frozen=True)
class Environment:
    """One environment. An address gets its variables when it is read, so a missing variable stops only its readers."""

    name: str
    root: Path
    settings: Settings

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the ledger's database."""
        return self._filled("database_url")

    @property
    def registry_url(self) -> str:
        """fsspec URL of the registry, with the files of every version."""
        return self._filled("registry_url")

    @property
    def model_store_url(self) -> str:
        """fsspec URL of the store that this environment serves from."""
        return self._filled("model_store_url")

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking URI."""
        return self._filled("tracking_uri")

    @property
    def flags(self) -> str:
        """Where the feature flags are read from."""
        return self._filled("flags")

    @property
    def thresholds(self) -> Thresholds:
        """The limits of a smoke test here."""
        return self.settings.thresholds

    @property
    def serving(self) -> Serving:
        """How a server answers here."""
        return self.settings.serving

    @property
    def predictions(self) -> Predictions:
        """How answers are logged here."""
        return self.settings.predictions

    @property
    def predictions_url(self) -> str | None:
        """SQLAlchemy URL of the prediction log; None where answers are not logged."""
        return None if self.settings.predictions_url is None else self._filled("predictions_url")

    @property
    def users_key(self) -> bytes:
        """The secret that makes pseudonyms of user ids."""
        return self._with_variables("users_key").encode()

    @property
    def spool(self) -> Path:
        """The file in which this machine keeps what was answered until it is in the prediction log."""
        return self.root.resolve() / "var" / self.name / "spool.db"

    @property
    def promoted_from(self) -> str | None:
        """The environment whose versions may come here, or None where any version may be deployed."""
        return self.settings.promoted_from

    @property
    def publish(self) -> bool:
        """Whether a retraining sends its commit to `origin` and its data to the DVC remote before it registers."""
        return self.settings.publish

    @property
    def ledger_public_keys(self) -> tuple[str, ...]:
        """The public keys whose signatures are valid for ledger rows; empty if rows are not signed."""
        return self.settings.ledger_public_keys

    def _filled(self, key: str) -> str:
        return _anchored(self._with_variables(key), self.root)

    def _with_variables(self, key: str) -> str:
        return _PLACEHOLDER.sub(lambda match: self._variable(match[1], key), getattr(self.settings, key))

    def _variable(self, variable: str, key: str) -> str:
        value = os.environ.get(variable)
        if not value:
            raise UserError(
                f"the environment variable {variable} is not set: {FILE} needs it for `{key}` of {self.name}. Set it."
            )
        return value


def load_environments(root: Path = Path()) -> dict[str, Environment]:
    """Every environment of the file by name. Raises `UserError` naming the wrong key."""
    settings: Mapping[str, Settings] = read(File, root / FILE).environments
    return {name: Environment(name, root, one) for name, one in settings.items()}


def load_environment(name: str | None = None, root: Path = Path()) -> Environment:
    """The named environment, else the one that ENVIRONMENT names, else development. An empty ENVIRONMENT names none."""
    environments = load_environments(root)
    if name is not None and not name.strip():
        raise UserError(f"the environment has an empty name. Choose one of {', '.join(environments)}.")
    chosen = name or os.environ.get(VARIABLE) or DEFAULT
    if chosen not in environments:
        source = "" if name else f" ({VARIABLE} names it)"
        raise UserError(f"there is no environment {chosen!r}{source}. Choose one of {', '.join(environments)}.")
    return environments[chosen]


def _anchored(value: str, root: Path) -> str:
    """The URL or path, with a relative path made absolute from the repository's root."""
    scheme, separator, path = value.partition(":///")
    if separator and scheme.startswith("sqlite") and not path.startswith("/"):
        return f"{scheme}:///{root.resolve() / path}"
    return value if "://" in value else str(root.resolve() / value)
