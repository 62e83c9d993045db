"""The sections of params.yaml that ingest reads."""

import codecs
import io
import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from champion.table.exclusions import Exclusions, check_exclusions
from champion.table.params import TableParams
from champion.table.text_form import Character, TextForm

# The adapter of the loan file.
LOANS = "loans"
_OWN_FUNCTION = re.compile(r"own/(?:[A-Za-z_]\w*/)*[A-Za-z_]\w*\.py:[A-Za-z_]\w*")
Compression = Literal["infer", "none", "gzip", "bz2", "xz", "zip", "zstd"]


def _stays_inside(path: str) -> str:
    """The path, if it leads to a file of the folder that it starts in, on any system."""
    windows = PureWindowsPath(path)
    if windows.drive or windows.root or ".." in windows.parts or ".." in PurePosixPath(path).parts:
        raise ValueError("the path leads out of its folder. Give it without `..`, a drive or a slash at the beginning")
    if not path.strip() or "\0" in path:
        raise ValueError("give the name of a file")
    return path


def _is_adapter(adapter: str) -> str:
    if adapter != LOANS and not _OWN_FUNCTION.fullmatch(adapter):
        raise ValueError("give a function of your own, such as `own/my_table.py:fields`")
    return adapter


Name = Annotated[str, Field(min_length=1)]
InsidePath = Annotated[str, AfterValidator(_stays_inside)]


class AnySource(TextForm):
    """What every source has: the form of its texts, and the rows to leave out."""

    exclude: Exclusions = Field(default={})


class AnyFile(AnySource):
    """A CSV or Parquet file. The `adapter` makes the declared columns of it: that of the loans, or a function in own/.

    The rest is about CSV files: `encoding` is any that Python knows.
    `infer` finds the compression by the first bytes of the file. A zip archive must hold one file.
    """

    path: InsidePath
    adapter: Annotated[str, AfterValidator(_is_adapter)] | None = None
    separator: Character = ","
    encoding: str = "utf-8"
    compression: Compression = "infer"

    @field_validator("separator")
    @classmethod
    def _separates(cls, separator: str) -> str:
        if not separator.isascii() or separator in '"\r\n\0':
            raise ValueError("it must be one ASCII character, and no quote or line end")
        return separator

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        try:
            # It refuses what Python calls a codec too and reads no text, such as hex.
            io.TextIOWrapper(io.BytesIO(), encoding)
            codecs.getincrementaldecoder(encoding)
        except (LookupError, ValueError):
            raise ValueError("it must be an encoding of text that Python knows, such as cp1252 or utf-16") from None
        return encoding


class WheelSource(AnyFile):
    """A CSV file inside an installed wheel. The lock pins the wheel by hash, and the wheel is never imported."""

    source: Literal["wheel"]
    distribution: Name
    sha256: str


class FileSource(AnyFile):
    """A CSV or Parquet file. It must be in `data/source/`, so that DVC notices its changes."""

    source: Literal["file"]


class SqlSource(AnySource):
    """A table or a query of the database whose SQLAlchemy URL is in the environment variable `url_env`."""

    source: Literal["sql"]
    table: Name | None = None
    query: Name | None = None
    url_env: str = "CHAMPION_SOURCE_URL"

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
