"""The tables that the contract checks, and the hashes of the files that passed."""

from typing import Any

from champion.core.files import read_parquet, sha256_of
from champion.core.layout import AT_AS_OF, AT_SPLIT, LABELLED, NEWEST, PREPARED, RAW, TEST
from champion.pipeline.validate.expectations import Checked, tables_to_check
from champion.pipeline.validate.findings import Finding
from champion.pipeline.validate.params import Contract, ValidateParams

DATED = (AT_SPLIT / LABELLED, AT_SPLIT / NEWEST, AT_AS_OF / LABELLED, AT_AS_OF / NEWEST, TEST)
UNDATED = (AT_SPLIT / LABELLED, TEST)


def read_tables(params: ValidateParams) -> list[Checked]:
    """Raw and the prepared parts that models learn from, score or are tested on, each with its expectations."""
    paths = UNDATED if params.calendar is None else DATED
    parts = {str(path.relative_to(PREPARED).with_suffix("")): read_parquet(path) for path in paths}
    return list(tables_to_check(read_parquet(RAW), parts, params.table, params.contract, params.calendar))


def describe_unconfirmed(contract: Contract, breaches: list[Finding]) -> dict[str, Any]:
    """The limits that nobody has confirmed, and the tables and columns of their breaches, for the model card."""
    places = sorted({(breach.table, breach.column) for breach in breaches})
    return {
        "limits": list(contract.unconfirmed),
        "breaches": [{"table": table, "column": column} for table, column in places],
    }


def hash_validated_files() -> dict[str, str]:
    """SHA-256 of each file that passed. train depends on these, so a looser limit alone retrains nothing."""
    files = sorted(path for path in PREPARED.rglob("*") if path.is_file())
    return {path.as_posix(): sha256_of(path) for path in (RAW, *files)}
