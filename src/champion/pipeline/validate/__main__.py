"""Stage 3: check the data contract on raw and both splits -> metrics/validation.json.

A breach is an error; one of a limit that nobody has confirmed is a warning.
"""

import os

# Great Expectations reads this at import; without it, the stage would make a network call.
os.environ["GX_ANALYTICS_ENABLED"] = "false"

from champion.core.errors import UserError, warn
from champion.core.files import read_json, write_json
from champion.core.layout import PARAMS, SCHEMA, UNCONFIRMED, VALIDATED, VALIDATION
from champion.core.stage import progress, stage_errors
from champion.core.strict_yaml import read
from champion.pipeline.validate.params import ValidateParams


def main() -> None:
    with stage_errors("validate"):
        params = read(ValidateParams, PARAMS)
        read_json(SCHEMA)
        with progress("checking the data contract with Great Expectations"):
            # Imported here, because the import takes seconds.
            from champion.pipeline.validate.breaches import describe_breaches, is_unconfirmed
            from champion.pipeline.validate.findings import check, summarise
            from champion.pipeline.validate.stage import describe_unconfirmed, hash_validated_files, read_tables

            tables = read_tables(params)
            findings = check(tables)
        failed = [finding for finding in findings if not finding.passed]
        warned = [finding for finding in failed if is_unconfirmed(finding, params.contract, params.table)]
        breaches = [finding for finding in failed if finding not in warned]
        if breaches:
            said = describe_breaches(breaches, len(findings), params.contract, params.table)
            raise UserError(f"{said}\nCorrect the data, or change the contract if the data is right.")
        if warned:
            warn(describe_breaches(warned, len(findings), params.contract, params.table))
        write_json(VALIDATION, summarise(findings, tables))
        write_json(VALIDATED, hash_validated_files())
        write_json(UNCONFIRMED, describe_unconfirmed(params.contract, warned))
        if params.contract.unconfirmed:
            print("some limits are inferred, so a breach only warns; `champion init --confirm` confirms them")
        print(f"{VALIDATION}: {len(findings) - len(warned)} of {len(findings)} expectations met")


if __name__ == "__main__":
    main()
