"""What a change does to the model, for the person who decides whether to merge it: the verdict first, then why."""

from collections.abc import Mapping

from champion.core import layout
from champion.core.errors import UserError
from champion.core.strict_yaml import Sections
from champion.params import Compare
from champion.pipeline.evaluate.params import Gate
from champion.pipeline.evaluate.verdicts import judge
from champion.report import curves, tables
from champion.report.blocks import Document, Paragraph, Section
from champion.report.comparison import changes
from champion.report.verdict import Checks, cautions, title, verdicts_table
from champion.repository.revision import Revision

LEGEND = (
    "▲ moved the better way, ▼ the worse way; “better” and “worse” only where each value lies outside the other's 95% "
    "bootstrap interval. A mark without a word has no interval, and may be noise."
)


class ReportParams(Sections):
    """The sections of params.yaml that the report reads."""

    gates: dict[str, Gate]
    compare: Compare = Compare()


def build(head: Revision, base: Revision, gates: Mapping[str, Gate], compare: Compare, checks: Checks) -> Document:
    """The report on `head` against `base`. Equal inputs give equal reports.

    Raises `UserError` when the head has no metrics: a report without them would say nothing about the model.
    """
    if not head.evaluation:
        raise UserError(f"{layout.EVALUATION}: no metrics to report. Run `dvc repro`, which makes them.")
    moved = changes(base.evaluation, head.evaluation)
    sections = [
        Section("", [verdicts_table(head, base, moved, gates, compare, checks), *cautions(head, base)]),
        Section("Metrics on held-out rows", [tables.metrics(moved, base), Paragraph(LEGEND)]),
        Section("Gates", [tables.gates(judge(head.evaluation, gates), judge(base.evaluation, gates), base)]),
        Section("Changed parameters", [tables.params(head, base)]),
        Section("Data", list(tables.data(head, base))),
        Section("Confusion and worst segment", [*tables.confusion(head, base), *tables.worst_segment(head, base)]),
        Section("ROC curve", list(curves.overlaid(head, base, "roc"))),
        Section("Calibration", list(curves.overlaid(head, base, "calibration"))),
        Section("Precision and recall", list(curves.overlaid(head, base, "precision_recall")), page_only=True),
        Section("Scores by class", list(curves.scores_by_class(head)), page_only=True),
        Section("Permutation importance", list(curves.importance(head, base)), page_only=True),
        Section("Lineage", [tables.lineage(head, base)], folded=True),
        Section("Cross-validation on training rows", [tables.cross_validation(head, base)], folded=True),
    ]
    return Document(title(head, base, moved, gates, compare, checks), [s for s in sections if s.blocks])
