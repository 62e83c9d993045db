"""The text of params.yaml, with comments, in the layout that DVC writes."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from champion.core.markdown import printable
from champion.core.yaml_text import as_yaml, edited_as_dvc_does


def write_params(*, table: str, **content: Any) -> str:
    """params.yaml with these contents. DVC, when it changes a value, changes no other line of it."""
    environment = Environment(  # noqa: S701 - it makes YAML, and each value is written as such
        loader=PackageLoader(__package__, ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["yaml"] = as_yaml
    text = environment.get_template("params.yaml.j2").render(table=printable(table), **content)
    return edited_as_dvc_does(text)
