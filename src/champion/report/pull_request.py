"""How a change affects the model, for the person who decides about the merge: first the verdict, then the reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from champion.core import layout
from champion.core.errors import UserError
from champion.core.markdown import environment
from champion.core.strict_yaml import Sections
from champion.params import Challenge, Compare
from champion.pipeline.evaluate.params import Gate
from champion.pipeline.evaluate.verdicts import bounds_of
from champion.report import tables
from champion.report.comparison import changes
from champion.report.mermaid import xychart
from champion.report.pairs import pair
from champion.report.plots import Plot, read_plots
from champion.report.production import Production
from champion.report.verdict import Checks, Verdict
from champion.report.wording import FILTERS, MISSING
from champion.repository.revision import Revision

# The plots that the comment shows; the page shows all of them.
_IN_COMMENT = ("roc", "calibration")


class ReportParams(Sections):
    """The sections of params.yaml that the report reads."""

    gates: dict[str, Gate]
    compare: Compare = Compare()
    challenge: Challenge = Challenge()


@dataclass(frozen=True)
class Document:
    """The facts of a report, and its plots."""

    facts: Mapping[str, Any]
    plots: list[Plot]

    def text(self, *, page: bool) -> str:
        """The report in Markdown: a comment with Mermaid charts, or a `page` whose images are named by number."""
        templates = environment(__package__)
        templates.filters |= FILTERS
        drawn = [(plot.title, xychart(plot)) for plot in self.plots if plot.stem in _IN_COMMENT and not page]
        charts = [(title, chart) for title, chart in drawn if chart is not None]
        return templates.get_template("pull_request.md.j2").render(
            self.facts, plots=self.plots, charts=charts, page=page
        )


def build(head: Revision, base: Revision, params: ReportParams, checks: Checks, production: Production) -> Document:
    """The report on `head` against `base`. Equal inputs give equal reports.

    Raises `UserError` when the head has no metrics.
    """
    if not head.evaluation:
        raise UserError(f"{layout.EVALUATION}: there are no metrics to report. Run `dvc repro` to make them.")
    gates, pairs = params.gates, pair(base, head, params.challenge)
    paired, same_rows = pairs.metrics if pairs else None, head.has_test_of(base)
    moved = changes(base.evaluation, head.evaluation, paired, same_rows=same_rows)
    return Document(
        {
            "base": base,
            "base_rate": tables.base_rate(head, base),
            "before": tables.verdicts(base, gates),
            "bounds": bounds_of,
            "confusion": tables.confusion(head, base),
            "gates": sorted(tables.verdicts(head, gates).items()),
            "lineage": list(tables.lineage(head, base)),
            "metrics": tables.metrics(moved),
            "other_metrics": tables.other_metrics(moved),
            "missing": MISSING,
            "params": list(tables.params(head, base)),
            "has_params": bool(base.yaml(layout.PARAMS)),
            "rows": tables.rows(head, base),
            "training": tables.training(head, base),
            "verdict": Verdict(head, base, moved, gates, params.compare, checks, pairs, production),
            "worst_segments": list(tables.worst_segments(head, base)),
        },
        list(read_plots({"before": base, "after": head})),
    )
