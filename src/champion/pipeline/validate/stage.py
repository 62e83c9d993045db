"""The tables that the contract checks, and the hashes of the files that passed."""

from champion.core.files import read_parquet, sha256_of
from champion.core.layout import PREPARED, RAW, SCHEMA, TEST, TRAIN
from champion.pipeline.validate.expectations import Checked, tables_to_check
from champion.pipeline.validate.params import ValidateParams


def read_tables(params: ValidateParams) -> list[Checked]:
    """Raw and both splits from disk, each with its expectations."""
    splits = {name: read_parquet(PREPARED / f"{name}.parquet") for name in ("train", "test")}
    return list(tables_to_check(read_parquet(RAW), splits, params.table, params.contract, params.window))


def hash_validated_files() -> dict[str, str]:
    """SHA-256 of each file that passed. train depends on these, so a looser limit alone retrains nothing."""
    return {str(path): sha256_of(path) for path in (RAW, TRAIN, TEST, SCHEMA)}
