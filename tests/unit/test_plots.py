"""The plots of dvc.yaml explain themselves, alone or compared, and can be read in a light and in a dark theme."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from champion.model.intervals import prediction_interval
from champion.report.plots import Plot, read_plots
from champion.report.themes import DARK, darkened, themed
from champion.repository.revision import working_tree
from champion.retraining.replay.pictures import draw_promises, draw_quarters
from champion.retraining.replay.summary import compare_policies, read_promises
from support.project import REPOSITORY

HERE = working_tree(REPOSITORY)
ALONE = {plot.stem: plot for plot in read_plots({"model": HERE})}
COMPARED = {plot.stem: plot for plot in read_plots({"before": HERE, "after": HERE})}
# What each picture calls its baseline.
BASELINES = {
    "roc": ["chance"],
    "precision_recall": [f"at random: {HERE.evaluation['base_rate']:.1%}"],
    "calibration": ["as predicted"],
    "confusion": ["all rows"],
    "importance": ["loss of ROC AUC (0: none)"],
    "score_distribution": ["Test rows of each class, by probability. Filled: negatives;"],
    "rehearsals": ["chance: 0.5", "the rate known before: 0", "observed"],
}


@pytest.fixture(params=BASELINES)
def plot(request: pytest.FixtureRequest) -> Plot:
    """Each plot alone."""
    return ALONE[request.param]


def parts_of(spec: Any) -> Iterator[dict[str, Any]]:
    """The specification and every part of it."""
    if isinstance(spec, dict):
        yield spec
    for part in spec.values() if isinstance(spec, dict) else spec if isinstance(spec, list) else ():
        yield from parts_of(part)


def texts_of(svg: str) -> list[str]:
    return re.findall(r">([^<>]+)</t(?:ext|span)>", svg)


def paints_of(svg: str) -> set[str]:
    return set(re.findall(r'\b(?:fill|stroke)="([^"]*)"', svg))


def contrast(one: str, other: str) -> float:
    """The contrast of two colours (WCAG 2.1)."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    digits = {"white": "ffffff"}.get(colour, colour.lstrip("#"))
    full = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    shares = [int(full[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares]
    return sum(weight * one for weight, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_plot_is_tested() -> None:
    assert set(ALONE) == set(COMPARED) == set(BASELINES)
    templates = [json.loads(path.read_text()) for path in (REPOSITORY / ".dvc/plots").glob("*.json")]
    assert len(templates) == len(BASELINES)
    assert all(template["config"] == templates[0]["config"] for template in templates)


def test_a_picture_says_what_it_shows_and_how_to_read_it(plot: Plot) -> None:
    svg, title = plot.svg(), plot.spec()["title"]
    assert re.fullmatch(r"\w[\w ]+ (shows?|counts) [\w ]+", title["text"])
    assert title["text"] in texts_of(svg)
    assert title["subtitle"]
    assert set(title["subtitle"]) <= set(texts_of(svg))


def test_every_axis_has_a_title_with_its_unit(plot: Plot) -> None:
    titles = [
        part[axis]["title"]
        for part in parts_of(plot.spec())
        for axis in ("x", "y")
        if isinstance(part.get(axis), dict) and "title" in part[axis]
    ]
    assert len(titles) >= 2
    assert [title for title in titles if not re.search(r"\(.+\)", title)] == ["feature"] * (plot.stem == "importance")
    assert set(titles) <= set(texts_of(plot.svg()))


def test_the_baseline_is_drawn_and_named(plot: Plot) -> None:
    assert set(BASELINES[plot.stem]) <= set(texts_of(plot.svg()))
    if plot.stem not in ("confusion", "score_distribution"):
        assert 'stroke-dasharray="4,4"' in plot.svg()


@pytest.mark.parametrize("name", BASELINES)
def test_sides_are_named_if_there_are_two(name: str) -> None:
    assert {"before", "after"} <= set(texts_of(COMPARED[name].svg()))
    assert "model" not in texts_of(ALONE[name].svg())


@pytest.mark.example
@pytest.mark.parametrize("left_out", [0, 1, 2])
def test_the_band_is_the_prediction_interval_of_the_rehearsals(left_out: int) -> None:
    points = ALONE["rehearsals"].points[left_out:]
    drawn = replace(ALONE["rehearsals"], points=points).svg()
    bands = re.findall(r'aria-label="low: ([^;]+); high: ([^;"]+)', drawn)
    expected = [
        prediction_interval([float(point[name]) for point in points[:-1]]) for name in ("roc_auc", "brier_skill")
    ]
    assert [pytest.approx([float(end.replace("\u2212", "-")) for end in band], abs=2e-5) for band in bands] == [
        ends for ends in expected if ends
    ]


def replayed() -> Iterator[str]:
    import vl_convert

    for spec in (draw_quarters(compare_policies(REPOSITORY)[:4]), draw_promises(read_promises(REPOSITORY))):
        yield themed(vl_convert.vegalite_to_svg(json.dumps(spec)))


def test_every_colour_has_one_for_the_dark() -> None:
    pictures = [plot.svg() for plots in (ALONE, COMPARED) for plot in plots.values()] + list(replayed())
    for svg in pictures:
        assert paints_of(svg) <= {*DARK, "none", "transparent"}
        assert paints_of(darkened(svg)) <= {*DARK.values(), "none", "transparent"}
        assert '[fill="#000"]{fill:#eceef2}' in svg


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_and_lines_stand_out_from_the_paper(theme: int) -> None:
    colours = {colour: (colour, dark)[theme] for colour, dark in DARK.items()}
    for text in ("#000", "#666"):
        assert contrast(colours[text], colours["white"]) >= 4.5
    sides = [colours[colour] for colour in ("#0b5cad", "#d9730d", "#2a7f3f", "#8a4fbf")]
    assert all(contrast(colour, colours["white"]) >= 3 for colour in sides)
    # The two sides of a comparison are told apart in grey.
    assert contrast(*sides[:2]) >= 1.5
