"""The pairs of a report are what a challenge compares, with every metric and every reason to compare nothing."""

import json
import shutil
from pathlib import Path

import pytest

from champion.core.files import read_json, write_json
from champion.core.layout import LOCK, PARAMS, SCHEMA
from champion.core.strict_yaml import read
from champion.delivery.challenge import ChallengeParams, Verdict, challenge
from champion.delivery.register import register
from champion.params import Challenge
from champion.report.pairs import Pairs, pair
from champion.repository.lock import dvc_md5, parse_stages
from champion.repository.revision import revision, working_tree
from support.delivery import DeliveryProject, InState, git


def keep(project: DeliveryProject) -> None:
    """Let DVC's cache have every output on disk, as after `dvc repro`."""
    cache = project.root / ".dvc/cache/files/md5"

    def store(md5: str) -> Path:
        (cache / md5[:2]).mkdir(parents=True, exist_ok=True)
        return cache / md5[:2] / md5[2:]

    for stage in parse_stages((project.root / LOCK).read_text()).values():
        for out in stage["outs"]:
            path = project.root / out["path"]
            if path.is_dir():
                members = {file.name: file for file in sorted(path.iterdir())}
                listing = [{"md5": str(dvc_md5(file)), "relpath": name} for name, file in members.items()]
                store(out["md5"]).write_text(json.dumps(listing, sort_keys=True))
                for entry in listing:
                    shutil.copy(members[entry["relpath"]], store(entry["md5"]))
            else:
                shutil.copy(path, store(out["md5"]))


@pytest.fixture
def staged(in_state: InState) -> DeliveryProject:
    """The champion v1 is the committed result, tagged `before`, and DVC's cache has its outputs."""
    project = in_state("staged")
    keep(project)
    git(project.root, "tag", "before")
    return project


def judge(project: DeliveryProject) -> tuple[Pairs | None, Verdict]:
    """What the report has of the committed result against `before`, and what a challenge says of it."""
    required = read(ChallengeParams, project.root / PARAMS).challenge
    pairs = pair(revision(project.root, "before"), working_tree(project.root), required)
    register(project.staging)
    return pairs, challenge(project.staging)


@pytest.mark.parametrize("metric", ["roc_auc", "f1_weighted"])
def test_a_pair_is_the_comparison_of_the_challenge(metric: str, staged: DeliveryProject) -> None:
    staged.use_result("strong")
    staged.edit_params("challenge", metric=metric, seed=7)
    pairs, verdict = judge(staged)
    assert pairs is not None
    assert verdict.comparison is not None
    assert pairs.comparison == verdict.comparison
    assert pairs.metrics["brier"] == verdict.comparison.brier
    assert "f1_weighted" not in pairs.metrics, "the F1 of the metrics has another share of flagged rows"
    if metric == "roc_auc":
        assert pairs.metrics["roc_auc"] == verdict.comparison.gain


def test_each_metric_with_an_interval_is_paired_as_its_own_function_says(staged: DeliveryProject) -> None:
    staged.use_result("strong")
    pairs, _ = judge(staged)
    assert pairs is not None
    before, after = revision(staged.root, "before").evaluation, working_tree(staged.root).evaluation
    intervals = {name.removesuffix("_low") for name in after if name.endswith("_low") and "rehearsed" not in name}
    assert set(pairs.metrics) == intervals | {"brier"}
    for name, one in pairs.metrics.items():
        assert (one.champion, one.challenger) == pytest.approx((before[name], after[name]), abs=1e-6)
        assert one.low <= one.difference <= one.high


def test_rows_that_tell_nothing_have_the_reason_of_the_challenge(staged: DeliveryProject) -> None:
    staged.use_result("strong")
    schema = staged.root / SCHEMA
    write_json(schema, read_json(schema) | {"group": "region"})
    staged.edit_params("columns", region={"type": "category", "role": "group", "feature": True})
    pairs, verdict = judge(staged)
    assert pairs is not None
    assert pairs.comparison is None
    assert [pairs.reason] == verdict.reasons
    assert "effective groups by 'region'" in pairs.reason


def test_the_same_judged_model_has_nothing_to_pair(staged: DeliveryProject) -> None:
    assert pair(revision(staged.root, "before"), working_tree(staged.root), Challenge()) is None
