"""Say that inferred limits are right: from then on, their breach stops the pipeline."""

import re
from pathlib import Path

from champion.core.files import replacing
from champion.core.layout import PARAMS
from champion.core.strict_yaml import read
from champion.core.yaml_text import edited_as_dvc_does
from champion.pipeline.validate.params import ValidateParams

MARK = re.compile(r" *# inferred$", re.MULTILINE)


def confirm_limits(root: Path) -> list[str]:
    """Remove the marks of unconfirmed limits from params.yaml, and return which limits they were.

    Raises `UserError` when params.yaml is not valid.
    """
    path = root / PARAMS
    names = list(read(ValidateParams, path).contract.unconfirmed)
    if not names:
        return []
    text = edited_as_dvc_does(
        path.read_text(encoding="utf-8"), lambda document: document["contract"].pop("unconfirmed")
    )
    with replacing(path) as draft:
        draft.write_text(MARK.sub("", text), encoding="utf-8")
    return names
