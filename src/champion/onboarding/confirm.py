"""Say that inferred limits are right: from then on, their breach stops the pipeline."""

import io
import re
from pathlib import Path

from ruamel.yaml import YAML

from champion.core.files import replacing
from champion.core.layout import PARAMS
from champion.core.strict_yaml import read
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
    yaml = YAML()
    yaml.default_flow_style = False
    document = yaml.load(path.read_text(encoding="utf-8"))
    del document["contract"]["unconfirmed"]
    stream = io.StringIO()
    yaml.dump(document, stream)
    with replacing(path) as draft:
        draft.write_text(MARK.sub("", stream.getvalue()), encoding="utf-8")
    return names
