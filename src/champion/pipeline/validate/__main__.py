"""Stage 3: check the data contract on raw and both splits -> metrics/validation.json, or an error with all breaches."""

import os

# Great Expectations reads this at import; without it, the stage would make a network call.
os.environ["GX_ANALYTICS_ENABLED"] = "false"

from champion.core.errors import UserError
from champion.core.files import read_json, write_json
from champion.core.layout import PARAMS, SCHEMA, VALIDATED, VALIDATION
from champion.core.stage import progress, stage_errors
from champion.core.strict_yaml import read
from champion.pipeline.validate.params import ValidateParams


def main() -> None:
    with stage_errors("validate"):
        params = read(ValidateParams, PARAMS)
        read_json(SCHEMA)
        with progress("checking the data contract with Great Expectations"):
            # Imported here, because the import takes seconds.
            from champion.pipeline.validate.breaches import describe_leaks, lines_to_accept
            from champion.pipeline.validate.findings import breach_table, check, summarise
            from champion.pipeline.validate.stage import hash_validated_files, read_tables

            tables = read_tables(params)
            findings = check(tables)
        breaches = [finding for finding in findings if not finding.passed]
        if breaches:
            said = [
                f"the data breaks {len(breaches)} of {len(findings)} expectations of `contract` in params.yaml:",
                breach_table(breaches),
                *describe_leaks(breaches, params.contract),
            ]
            if lines := lines_to_accept(breaches, params.contract, params.table):
                said.append(f"These lines of `contract` would accept the shares and numbers found:\n\n{lines}\n")
            said.append("Correct the data, or change the contract if the data is right.")
            raise UserError("\n".join(said))
        write_json(VALIDATION, summarise(findings, tables))
        write_json(VALIDATED, hash_validated_files())
        print(f"{VALIDATION}: all {len(findings)} expectations met")


if __name__ == "__main__":
    main()
