"""The report on a change: its verdict, its contents, and text from outside that stays plain text."""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from champion.core.errors import UserError
from champion.core.markdown import as_code, as_words, printable
from champion.judging.comparison import Paired
from champion.params import Compare
from champion.pipeline.evaluate.params import Gate
from champion.report.comparison import Change, breaches, changes
from champion.report.harmless import QUIET_AT, harmless
from champion.report.html import parser, to_html
from champion.report.markdown import LIMIT, shorten, to_markdown
from champion.report.plots import read_plots
from champion.report.production import Production
from champion.report.pull_request import ReportParams, build
from champion.report.verdict import Checks
from champion.repository.revision import Revision, baseline, revision, working_tree
from support.hostile import HOSTILE, assert_only_text
from support.project import EXAMPLE, REPOSITORY, Project

GATES = {"roc_auc_low": Gate(min=0.65), "f1_weighted": Gate(min=0.6)}
COMPARE = Compare(tolerances={"roc_auc": 0.01, "brier": 0.01})
PARAMS = ReportParams(gates=GATES, compare=COMPARE)
NOT_ASKED = Production(unknown="not asked")
# Definitions without and with a guide for the eye, and the table that it is drawn over.
PLOTS = """
stages:
  evaluate:
    plots:
      - metrics/plots/roc.csv:
          title: ROC curve
          x_label: false positive rate
          x: false_positive_rate
          y: true_positive_rate
      - metrics/plots/calibration.csv:
          title: Calibration of "probabilities"
          template: calibration
          y_label: observed share
          x: mean_probability
          y: observed_share
"""
CALIBRATION = "mean_probability,observed_share\n0.1,0.2\n0.5,0.4\n"
METRICS: dict[str, Any] = {
    "roc_auc": 0.72,
    "roc_auc_low": 0.70,
    "roc_auc_high": 0.74,
    "f1_weighted": 0.70,
    "brier": 0.09,
    "base_rate": 0.11,
    "rows": 1000,
}


def files(folder: Path, metrics: dict[str, Any] | None = None, **others: str) -> Revision:
    """A folder with the committed outputs, these metrics, and other files by their name without folder."""
    for name in ("metrics", "dvc.lock", "dvc.yaml", ".dvc/plots"):
        source = REPOSITORY / name
        for path in [source, *source.rglob("*")]:
            if path.is_file():
                target = folder / path.relative_to(REPOSITORY)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
    shutil.copy2(EXAMPLE / "params.yaml", folder)
    (folder / "metrics/evaluation.json").write_text(json.dumps(METRICS if metrics is None else metrics))
    for name, text in others.items():
        next(folder.rglob(name if "." in name else f"{name}.*")).write_text(text, encoding="utf-8")
    return working_tree(folder)


@pytest.fixture
def base(tmp_path: Path) -> Revision:
    return Revision(files(tmp_path / "base").root, "main")


def report(head: Revision, base: Revision, **checks: Any) -> str:
    """The report, which the comment shows as it is."""
    text = to_markdown(build(head, base, PARAMS, Checks(**checks), NOT_ASKED))
    assert harmless(text) == text.replace("&#64;", QUIET_AT)
    return text


def title(text: str) -> str:
    return text.partition("\n")[0]


def test_the_same_outputs_are_unchanged(base: Revision) -> None:
    text = report(base, base, reproduced=True)
    assert title(text) == "## ✅ Model: gates pass; unchanged from `main`"
    assert "| Reproducible | ✅ |" in text


def test_a_change_beyond_both_intervals_is_better_or_worse(base: Revision, tmp_path: Path) -> None:
    high = METRICS | {"roc_auc": 0.77, "roc_auc_low": 0.75, "roc_auc_high": 0.79}
    better = files(tmp_path / "head", high)
    assert title(report(better, base)).endswith("better than `main`")
    worse = title(report(base, Revision(better.root, "main")))
    assert worse == "## ❌ Model: a metric dropped beyond its tolerance; worse than `main`"


def test_a_change_inside_either_interval_cannot_be_told_without_pairs(base: Revision, tmp_path: Path) -> None:
    head = files(tmp_path / "head", METRICS | {"roc_auc": 0.735, "roc_auc_low": 0.725, "roc_auc_high": 0.745})
    text = report(head, base)
    assert title(text).endswith("not told apart from `main` without pairs")
    assert "| ROC AUC | 0.7200 (0.7000 to 0.7400) | 0.7350 (0.7250 to 0.7450) | +0.0150 | ➖ not paired |" in text


def paired(low: float, high: float, name: str = "roc_auc") -> Change:
    """A change whose own intervals cannot tell, and the interval of its pairs."""
    middle = (low + high) / 2
    return Change(name, 0.5, 0.5 + middle, (0.0, 1.0), (0.0, 1.0), Paired(0.5, 0.5 + middle, low, high))


def test_the_interval_of_the_pairs_decides() -> None:
    assert paired(-0.005, -0.0001).verdict == "worse"
    assert paired(0.0001, 0.005).verdict == "better"
    assert paired(-0.005, 0.0001).verdict == paired(0.0, 0.005).verdict == "noise"
    assert paired(1e-9, 1e-8, "brier").verdict == "worse", "a challenge looks at all digits"
    assert paired(-0.005, -0.0001, "brier").verdict == "better"
    assert paired(0.0, 0.0).verdict == "same"


def test_a_skill_against_another_reference_is_neither_better_nor_worse() -> None:
    before = {"brier": 0.07, "brier_skill": 0.04, "known_rate": 0.021}
    after = {"brier": 0.071, "brier_skill": 0.05, "known_rate": 0.016}
    assert [(one.name, one.verdict) for one in changes(before, after, same_rows=True)][:2] == [
        ("brier", "worse"),
        ("brier_skill", "moved"),
    ]
    assert changes(before, after | {"known_rate": 0.021}, same_rows=True)[1].verdict == "better"
    assert changes(before, after)[1].verdict == "better", "on other rows, each skill is against what was known then"


def test_a_tolerance_of_the_skill_holds_against_the_reference_of_the_base(tmp_path: Path) -> None:
    tolerance, skill = Compare(tolerances={"brier_skill": 0.01}), {"brier_skill": 0.04, "known_rate": 0.02}
    before = files(tmp_path / "base", METRICS | skill)
    worse = METRICS | {"brier": METRICS["brier"] * 1.02, "brier_skill": 0.05}
    assert breaches(before, files(tmp_path / "easier", worse | {"known_rate": 0.001}), tolerance) == [
        "brier_skill: fell from 0.04 to 0.0208, beyond its tolerance of 0.01"
    ]
    assert breaches(before, files(tmp_path / "same", worse | {"known_rate": 0.02}), tolerance) == []
    other_rows = files(tmp_path / "rows", worse | {"known_rate": 0.001}, **{"dvc.lock": "schema: '2.0'\nstages: {}\n"})
    assert breaches(before, other_rows, tolerance) == []


def test_marks_follow_each_metrics_direction(base: Revision, tmp_path: Path) -> None:
    text = report(files(tmp_path / "head", METRICS | {"brier": 0.085, "f1_weighted": 0.69, "base_rate": 0.1}), base)
    assert "| `brier` | 0.0900 | 0.0850 | -0.0050 | ▲ |" in text
    assert "| `f1_weighted` | 0.7000 | 0.6900 | -0.0100 | ▼ |" in text
    assert "| `base_rate` | 0.1100 | 0.1000 | -0.0100 |  |" in text


def test_a_failed_gate_leads_the_report_even_when_no_caller_says_so(base: Revision, tmp_path: Path) -> None:
    head = files(tmp_path / "head", METRICS | {"f1_weighted": 0.5})
    assert title(report(head, base)).startswith("## ❌ Model: gate closed; ")
    assert "| `f1_weighted` | 0.5000 | min 0.6 | -0.1000 | ❌ **fail**, was pass |" in report(head, base)


def test_the_metric_that_decided_a_gate_is_named_if_it_is_another(base: Revision, tmp_path: Path) -> None:
    few = {"effective_groups": 12.5, "roc_auc_low": None, "rehearsed_roc_auc_low": 0.75}
    text = report(files(tmp_path / "head", METRICS | few), base)
    assert "| `roc_auc_low` (by `rehearsed_roc_auc_low`) | 0.7500 | min 0.65 | +0.1000 | ✅ pass |" in text
    assert "| `f1_weighted` | 0.7000 | min 0.6 |" in text


def test_a_gate_on_a_metric_of_training_is_in_the_report(base: Revision) -> None:
    params = ReportParams(gates=GATES | {"training_roc_auc": Gate(above=1)}, compare=COMPARE)
    text = to_markdown(build(base, base, params, Checks(), NOT_ASKED))
    assert "gate closed" in title(text)
    assert re.search(r"\| `training_roc_auc` \| 0\.\d{4} \| above 1 \| -0\.\d{4} \| ❌ \*\*fail\*\* \|", text)


@pytest.mark.parametrize("value", [None, float("nan"), "0.9", True])
def test_a_gated_metric_that_is_no_number_closes_the_gate(value: Any, base: Revision, tmp_path: Path) -> None:
    head = files(tmp_path / "head", METRICS | {"f1_weighted": value})
    assert "gate closed" in title(report(head, base))


def test_what_other_commands_found_is_in_the_verdict(base: Revision) -> None:
    text = report(base, base, gate=["m: swapped"], stale=["train"], reproduced=False, reproduction="stage train: x")
    assert title(text).startswith("## ❌ Model: outputs out of date, gate closed, not reproducible; ")
    assert "run `dvc repro` for `train`" in text
    assert "`stage train: x`" in text


def test_without_a_baseline_the_report_stands_alone(base: Revision, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    text = report(base, Revision(tmp_path / "empty", "main"))
    assert title(text) == "## ✅ Model: gates pass; first model: `main` has no model"
    assert "| ROC AUC | — | 0.7200 (0.7000 to 0.7400) | — |  |" in text
    assert "There is no params.yaml in `main` to compare with." in text
    assert "orange" not in text


def test_a_base_that_predicts_another_column_is_no_baseline(base: Revision, tmp_path: Path) -> None:
    (base.root / "params.yaml").write_text("columns: {age: {type: integer}, late: {type: boolean, role: label}}\n")
    other = files(tmp_path / "other", METRICS | {"roc_auc": 0.99})
    (other.root / "params.yaml").write_text("columns: {paid: {type: boolean, role: label}}\n")
    before = baseline(Revision(other.root, "main"), base)
    text = report(base, before)
    assert title(text) == "## ✅ Model: gates pass; first model of this outcome: `main` predicts `paid`, and not `late`"
    assert "0.9900" not in text
    assert "columns.paid" in text, "what changed in params is shown all the same"
    assert breaches(before, base, COMPARE, allow_no_baseline=True) == []
    assert baseline(base, base) is base


def test_a_baseline_that_lost_its_metrics_is_not_a_first_model(base: Revision, tmp_path: Path) -> None:
    broken = files(tmp_path / "broken", {})
    text = report(base, Revision(broken.root, "main"))
    assert title(text) == "## ❌ Model: a metric dropped beyond its tolerance; no baseline: `main` has no metrics"


def test_other_metrics_at_the_base_are_shown_as_new_or_gone(base: Revision, tmp_path: Path) -> None:
    head = files(tmp_path / "head", {key: value for key, value in METRICS.items() if key != "brier"} | {"extra": 3.5})
    text = report(head, base)
    assert "| `extra` | — | 3.5000 | — | new |" in text
    assert "| `brier` | 0.0900 | — | — | no longer a number |" in text


def test_no_metrics_to_report_is_an_error_that_names_the_file(base: Revision, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics/evaluation.json: there are no metrics to report. Run `dvc repro`"):
        report(working_tree(tmp_path), base)


def test_unreadable_metrics_at_the_base_are_an_error_and_no_guess(base: Revision, tmp_path: Path) -> None:
    broken = files(tmp_path / "broken", evaluation="[1]")
    with pytest.raises(UserError, match=r"metrics/evaluation.json of main: not a JSON object"):
        report(base, Revision(broken.root, "main"))


def test_changed_params_are_shown_with_their_type(base: Revision, tmp_path: Path) -> None:
    other = (base.root / "params.yaml").read_text().replace("test: 12", 'test: "12"')
    text = report(files(tmp_path / "head", params=other + "\nextra: { a: true }\n"), base)
    assert "| `split.test` | `12` | `'12'` |" in text
    assert "| `extra.a` | — | `True` |" in text


def test_changed_test_rows_are_a_caution(base: Revision, tmp_path: Path) -> None:
    lock = (base.root / "dvc.lock").read_text()
    test = re.search(r"path: data/prepared/test.parquet\n\s+hash: md5\n\s+md5: (\S+)", lock)
    assert test is not None
    head = files(tmp_path / "head", **{"dvc.lock": lock.replace(test[1], "0" * 32)})
    assert "**The test rows changed**" in report(head, base)
    sentence = "cannot pair the models: `data/prepared/test.parquet differs, so they were scored on other rows"
    assert sentence in report(head, base)
    assert "**The test rows changed**" not in report(base, base)


def test_a_broken_contract_is_told_with_its_columns(base: Revision, tmp_path: Path) -> None:
    validation = json.loads((base.root / "metrics/validation.json").read_text())
    validation["findings"][0] |= {"passed": False, "table": "raw", "column": "bank", "check": "not_null"}
    text = report(files(tmp_path / "head", validation=json.dumps(validation)), base)
    assert "broken: `raw.bank: not_null` |" in text


def charts(text: str) -> dict[str, list[list[float]]]:
    """The lines of each Mermaid chart, by its title."""
    found = re.findall(r'```mermaid\n.*?xychart-beta\n    title "(.*?)"\n(.*?)```', text, flags=re.DOTALL)
    return {
        title: [[float(y) for y in line.split(",")] for line in re.findall(r"line \[([^\]]*)\]", chart)]
        for title, chart in found
    }


def test_curves_of_base_and_head_are_drawn_for_github_with_the_titles_of_dvc_yaml(tmp_path: Path) -> None:
    head = files(tmp_path / "head", calibration=CALIBRATION, **{"dvc.yaml": PLOTS})
    text = report(head, Revision(head.root, "main"))
    drawn = charts(text)
    assert {title: [len(line) for line in lines] for title, lines in drawn.items()} == {
        "ROC curve": [21, 21],
        "Calibration of  probabilities ": [21, 21, 21],
    }
    guide, before, after = drawn["Calibration of  probabilities "]
    assert guide == pytest.approx([0.1 + 0.02 * step for step in range(21)])
    assert before == after == pytest.approx([0.2 + 0.01 * step for step in range(21)])
    assert "grey: as predicted, orange: before, blue: after." in text
    assert 'x-axis "false positive rate" 0.0000 --> 1.0000' in text
    assert 'y-axis "observed share" 0 --> 0.5000' in text


@pytest.mark.parametrize("table", [CALIBRATION, "mean_probability\n1\n2\n", "", "x", "a,a\n1\n"])
def test_a_base_whose_plot_lacks_a_column_is_drawn_as_far_as_it_goes(table: str, tmp_path: Path) -> None:
    head = files(tmp_path / "head", calibration=CALIBRATION, **{"dvc.yaml": PLOTS})
    base = Revision(files(tmp_path / "base", calibration=table).root, "main")
    drawn = charts(report(head, base))["Calibration of  probabilities "]
    assert len(drawn) == (3 if "observed_share" in table else 2)
    assert page(head, base).count("data:image/svg+xml") == 2


def test_curves_that_share_no_range_are_not_compared(tmp_path: Path) -> None:
    head = files(tmp_path / "head", calibration=CALIBRATION, **{"dvc.yaml": PLOTS})
    far = CALIBRATION.replace("0.1,", "0.6,").replace("0.5,", "0.7,")
    text = report(head, Revision(files(tmp_path / "base", calibration=far).root, "main"))
    assert "grey: as predicted, blue: after." in text


def test_a_project_without_plots_still_has_a_report(base: Revision, tmp_path: Path) -> None:
    head = files(tmp_path / "head", **{"dvc.yaml": "stages: {}\n"})
    assert "mermaid" not in report(head, base)
    assert "<img" not in page(head, base)


def test_a_plot_that_dvc_cannot_draw_is_one_sentence(tmp_path: Path) -> None:
    head = files(tmp_path / "head", **{"dvc.yaml": PLOTS.replace("title: ROC curve", "template: none_such")})
    with pytest.raises(UserError, match=r"dvc.yaml: the plot `metrics/plots/roc.csv` cannot be drawn: .*none_such"):
        page(head, head)


def test_a_picture_of_one_side_alone_names_no_side(base: Revision) -> None:
    pictures = {plot.stem: plot.svg() for plot in read_plots({"model": base})}
    assert set(pictures) >= {"roc", "precision_recall", "calibration", "confusion", "importance"}
    assert ">model<" not in pictures["roc"]
    assert ">The ROC curve shows how well scores rank<" in pictures["roc"]


def test_equal_inputs_give_equal_bytes(base: Revision) -> None:
    assert report(base, base) == report(base, base)
    assert page(base, base) == page(base, base)


class Tags(HTMLParser):
    """Every tag of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self.tags.add(tag)


OUR_TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "img", "ul", "li", "code", "strong"}
OUR_TAGS |= {"table", "thead", "tbody", "tr", "th", "td"}


def page(head: Revision, base: Revision) -> str:
    return to_html(build(head, base, PARAMS, Checks(), NOT_ASKED))


def pictures_of(text: str) -> Iterator[str]:
    for picture in re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', text):
        yield base64.b64decode(picture).decode()


def test_the_page_holds_its_plots_and_reaches_for_nothing(base: Revision) -> None:
    text = page(base, base)
    assert len(list(pictures_of(text))) == 7
    for part in (text, *pictures_of(text)):
        assert "@media (prefers-color-scheme: dark)" in part
    assert Tags(text).tags <= OUR_TAGS
    assert not re.search(r"(src|href)=[\"'](?!data:)", text)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in text


def test_the_page_says_all_that_the_comment_says(base: Revision) -> None:
    comment, text = report(base, base), re.sub(r"<[^>]*>", " ", page(base, base))
    for number in re.findall(r"\d+\.\d+", re.sub(r"```mermaid.*?```", "", comment, flags=re.DOTALL)):
        assert number in text


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_stay_text_in_every_place(text: str, base: Revision, tmp_path: Path) -> None:
    evaluation = json.dumps(METRICS | {text: 0.5, f"{text}_low": 0.4, f"{text}_high": 0.6})
    segments = json.dumps({"worst": {"segment": text, "value": text, "roc_auc": 0.5, "rows": 9}, "segments": []})
    validation = json.dumps(
        {"passed": False, "rows": {text: 1}, "findings": [{"table": text, "column": text, "check": text}]}
    )
    importance = f'feature,importance,std\n"{text.encode(errors="replace").decode().replace(chr(34), "")}",1,0\n'
    params = json.dumps({"train": {text: text}})
    # Of the plots, only this one shows a name.
    plot = {"template": "bar_horizontal_sorted", "x": "importance", "y": "feature"}
    head = files(
        tmp_path / "head",
        **{"dvc.yaml": json.dumps({"plots": [{"metrics/plots/importance.csv": plot}]})},
        evaluation=evaluation,
        segments=segments,
        params=params if text != "\ud800" else "{}",
        validation=validation,
        importance=importance,
    )
    document = build(
        head, Revision(base.root, text), PARAMS, Checks([text], [text], False, text), Production(unknown=text)
    )
    markdown = to_markdown(document)
    assert_only_text(markdown)
    assert harmless(markdown) == markdown.replace("&#64;", QUIET_AT), "the comment shows it as it is"
    html = to_html(document)
    assert Tags(html).tags <= OUR_TAGS
    assert not re.search(r"(src|href)=[\"'](?!data:)", html)
    [picture] = pictures_of(html)
    ElementTree.fromstring(picture)  # noqa: S314 - our own


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_titles_of_plots_stay_text(text: str, base: Revision, tmp_path: Path) -> None:
    axes = {"x": {"metrics/plots/roc.csv": "false_positive_rate"}, "y": {"metrics/plots/roc.csv": "true_positive_rate"}}
    clean = text.replace("\ud800", '"]')
    plots = [{"roc": axes | {"title": clean, "x_label": clean, "y_label": clean}}, {clean: axes}]
    head = files(tmp_path / "head", **{"dvc.yaml": json.dumps({"plots": plots})})
    markdown = report(head, base)
    assert_only_text(markdown)
    chart = re.search(r"```mermaid\n(.*?)\n```", markdown, flags=re.DOTALL)
    assert chart is not None
    label = r'(title|x-axis|y-axis) "[^"`<>@{}#;]*"[-0-9 .>]*|line \[[0-9., ]*\]'
    assert all(re.fullmatch(label, line.strip()) for line in chart[1].split("\n")[2:])
    html = page(head, base)
    assert Tags(html).tags <= OUR_TAGS
    assert len(list(map(ElementTree.fromstring, pictures_of(html)))) == 2


@given(st.text())
def test_any_text_stays_in_one_cell_of_its_table(text: str) -> None:
    rendered = f"| a | b |\n| --- | --- |\n| {as_code(text)} | {as_words(text)} |\n"
    assert_only_text(rendered)
    assert len(rendered.splitlines()) == 3


@given(st.text())
def test_any_text_is_shown_in_the_page_as_it_is(text: str) -> None:
    inline = parser().parseInline(f"x {as_code(text)} y")[0].children or []
    assert [child.content for child in inline if child.type == "code_inline"] == ([printable(text)] if text else [""])
    assert "".join(child.content for child in inline if child.type == "text") == "x  y"


@given(st.text() | st.text("a1_.-*[]()@:/w", max_size=12))
def test_words_are_nothing_but_words(text: str) -> None:
    written = str(as_words(text))
    outside = re.sub(r"<code>.*?</code>|`.*?`", "", written)
    assert not re.search(r"[@:/`<*\[|\\]|www\.", outside)
    tokens = parser().parseInline(f"x {written} y")[0].children or []
    assert {token.type for token in tokens} <= {"text", "code_inline"}


def test_a_report_is_never_longer_than_a_comment_can_be(base: Revision, tmp_path: Path) -> None:
    awful = "\U0001f4a3|" * 60
    many = {f"{awful}{number}": awful for number in range(2000)}
    head = files(
        tmp_path / "head",
        evaluation=json.dumps(METRICS | dict.fromkeys(many, 0.5)),
        params=json.dumps({"train": {f"{number}{awful}": awful for number in range(1000)}}, ensure_ascii=False),
    )
    text = report(head, base, gate=list(many), stale=list(many), reproduced=False, reproduction="\n".join(many))
    assert len(text.encode()) <= LIMIT
    assert title(text).startswith("## ❌")


def test_what_does_not_fit_is_named() -> None:
    long = "x" * 900
    text = f"## t\n\n### Long\n\n{long}\n\n<details><summary>Folded</summary>\n\n{long}\n\n### Short\n\ny\n"
    assert shorten(text, 1000) == (
        "## t\n\n### Short\n\ny\n\nThis comment is too long, so only the HTML report has: Long, Folded.\n"
    )


def test_a_long_table_shows_its_first_rows() -> None:
    text = "| a |\n| --- |\n" + "".join(f"| {number} |\n" for number in range(1042))
    assert shorten(text, LIMIT).endswith("| 39 |\n\n1,002 more rows are not shown.\n")


def test_a_drop_is_a_breach_only_beyond_its_tolerance(base: Revision, tmp_path: Path) -> None:
    exactly = files(tmp_path / "a", METRICS | {"roc_auc": 0.71, "brier": 0.1})
    assert breaches(base, exactly, COMPARE) == []
    beyond = files(tmp_path / "b", METRICS | {"roc_auc": 0.709999, "brier": 0.100001})
    assert breaches(base, beyond, COMPARE) == [
        "roc_auc: fell from 0.72 to 0.709999, beyond its tolerance of 0.01",
        "brier: rose from 0.09 to 0.100001, beyond its tolerance of 0.01",
    ]
    assert breaches(beyond, base, COMPARE) == []


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "0.72", True])
def test_a_compared_metric_that_is_no_number_is_a_breach(value: Any, base: Revision, tmp_path: Path) -> None:
    broken = files(tmp_path / "broken", METRICS | {"roc_auc": value})
    sentence = "roc_auc: metrics/evaluation.json of {} has no number for it"
    assert breaches(base, broken, COMPARE) == [sentence.format("the working tree")]
    assert breaches(Revision(broken.root, "main"), base, COMPARE) == [sentence.format("main")]


def test_no_baseline_is_a_breach_unless_the_base_never_had_one(base: Revision, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = Revision(tmp_path / "empty", "main")
    assert len(breaches(empty, base, COMPARE)) == 2
    assert breaches(empty, base, COMPARE, allow_no_baseline=True) == []
    lost = files(tmp_path / "lost", {})
    assert len(breaches(lost, base, COMPARE, allow_no_baseline=True)) == 2
    nothing = files(tmp_path / "nothing", {"roc_auc": 0.7})
    assert len(breaches(empty, nothing, COMPARE, allow_no_baseline=True)) == 1


def test_tolerances_that_compare_nothing_are_an_error(base: Revision) -> None:
    with pytest.raises(UserError, match=r"`compare.tolerances` is empty, so any drop would pass"):
        breaches(base, base, Compare(tolerances={}))
    with pytest.raises(UserError, match=r"`compare.tolerances.rows`: the better direction is unknown"):
        breaches(base, base, Compare(tolerances={"rows": 1.0}))


def test_a_project_without_tolerances_still_has_a_report(base: Revision) -> None:
    text = to_markdown(build(base, base, ReportParams(gates=GATES), Checks(), NOT_ASKED))
    assert title(text) == "## ✅ Model: gates pass; unchanged from `main`"
    assert "| Tolerances | ➖ | none in `params.yaml: compare` |" in text


def test_ends_of_an_interval_belong_to_their_metric() -> None:
    found = changes({"a": 1, "a_low": 0, "a_high": 2, "lone_low": 1}, {"a": 1})
    assert found == [Change("a", 1, 1, (0, 2), None), Change("lone_low", 1, None)]


def test_a_base_that_git_does_not_know_is_one_sentence(project: Project) -> None:
    with pytest.raises(UserError, match=r"'--output=x': no such branch, tag or commit. Fetch it"):
        revision(project.folder, "--output=x")


def test_a_revision_reads_what_was_committed_not_what_is_there(project: Project) -> None:
    before = revision(project.folder, "main")
    (project.folder / "metrics/evaluation.json").write_text("{}")
    assert before.evaluation["roc_auc"] > 0.5
    assert working_tree(project.folder).evaluation == {}
    assert before.read("no/such/file") is None
