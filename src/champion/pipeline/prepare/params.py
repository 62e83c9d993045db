"""The sections of params.yaml that prepare reads."""

from champion.core.strict_yaml import Section
from champion.table.params import TableParams


class Prepare(Section):
    """How rows are prepared.

    With `drop_duplicates`, a row without an id that equals an earlier one in all columns is dropped.
    """

    drop_duplicates: bool = False


class PrepareParams(TableParams):
    """The sections of params.yaml that prepare reads."""

    prepare: Prepare = Prepare()
