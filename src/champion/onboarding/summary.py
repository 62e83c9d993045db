"""What was found in a table, as lines for a terminal."""

from champion.core.values import escaped, quoted
from champion.onboarding.columns import FoundColumn
from champion.onboarding.proposal import Proposal

WIDEST = 60


def summarise(proposal: Proposal) -> str:
    """The columns as a table, then the label, the split, the model and what a person should look at."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE)
    for header in ("column", "type", "role", "missing", "valid values"):
        table.add_column(header, overflow="fold")
    for column in proposal.columns:
        missing = f"{column.missing:.1%}" if column.missing else ""
        table.add_row(escaped(column.name), column.type, column.role, missing, _valid(column))
    console = Console(width=120, no_color=True, markup=False, highlight=False)
    with console.capture() as captured:
        console.print(table)
    written = [f"{key} {value!r}" for key, value in proposal.source.items() if key not in ("source", "path", "table")]
    label, split = proposal.label, proposal.split
    positives, known = label.target.sum(), label.target.count()
    values = label.section.get("positive", ())
    lines = [line.rstrip() for line in captured.get().splitlines()]
    if written:
        lines.append(f"written with: {', '.join(written)}")
    what = ", ".join(quoted(str(value)) for value in values) or "an event"
    lines.append(f"positive: {what}, {positives:,} of {known:,} rows ({positives / known:.2%}). {label.why}")
    if split.test_days is None:
        share = split.sections["split"]["test_share"]
        lines.append(f"test: {share:.0%} of the rows, about {split.test_rows:,} rows, chosen by a hash")
    else:
        first, last = split.test_days
        lines.append(f"test: the rows from {first} to {last}, {split.test_rows:,} rows")
    lines += [f"{name}: mean Brier score {score:.4f}" for name, score in proposal.recipe.scores]
    lines.append(f"model: {proposal.recipe.train['estimator']}")
    return "\n".join([*lines, *(f"look at this: {note}" for note in proposal.notes)])


def _valid(column: FoundColumn) -> str:
    if column.role == "ignore":
        return column.why
    if column.values is not None:
        listed = ", ".join(map(escaped, column.values))
        return listed if len(listed) <= WIDEST else f"{listed[:WIDEST]}..."
    if column.range is not None:
        return " to ".join(f"{bound:,}" for bound in column.range)
    return f"{column.distinct:,} values" if column.type == "category" else column.why
