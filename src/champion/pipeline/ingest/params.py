"""The sections of params.yaml that ingest reads."""

from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from champion.core.strict_yaml import Section
from champion.table.exclusions import Exclusions, check_exclusions
from champion.table.params import TableParams


def _stays_inside(path: str) -> str:
    """The path, if it leads to a file of the folder that it starts in, on any system."""
    windows = PureWindowsPath(path)
    if windows.drive or windows.root or ".." in windows.parts or ".." in PurePosixPath(path).parts:
        raise ValueError("the path leads out of its folder. Give it without `..`, a drive or a slash at the beginning")
    if not path.strip() or "\0" in path:
        raise ValueError("give the name of a file")
    return path


InsidePath = Annotated[str, AfterValidator(_stays_inside)]


class AnySource(Section):
    """What every source has: the form of dates in text, and the rows to leave out."""

    date_format: str | None = None
    exclude: Exclusions = Field(default={})


class WheelSource(AnySource):
    """A CSV file inside an installed wheel. The lock pins the wheel by hash, and the wheel is never imported."""

    source: Literal["wheel"]
    distribution: str
    path: InsidePath
    sha256: str
    adapter: Literal["loans"] | None = None


class FileSource(AnySource):
    """A CSV or Parquet file. It must be in `data/source/`, so that DVC notices its changes."""

    source: Literal["file"]
    path: InsidePath
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    adapter: Literal["loans"] | None = None


class SqlSource(AnySource):
    """A table or a query of the database whose SQLAlchemy URL is in the environment variable `url_env`."""

    source: Literal["sql"]
    table: str | None = None
    query: str | None = None
    url_env: str = "CHAMPION_SOURCE_URL"
    adapter: None = None

    @model_validator(mode="after")
    def _table_or_query(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("give either `table` or `query`")
        return self


Source = Annotated[WheelSource | FileSource | SqlSource, Field(discriminator="source")]


class IngestParams(TableParams):
    """The sections of params.yaml that ingest reads."""

    ingest: Source

    @model_validator(mode="after")
    def _exclusions_fit_columns(self) -> Self:
        check_exclusions(self.ingest.exclude, self.table)
        return self
