"""Stage `walk@POLICY`: what a policy does in every quarter, and what came of it -> checks/, results/."""

import sys
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from champion.core.errors import ConflictError
from champion.core.files import read_json, replacing, write_json
from champion.core.stage import progress, stage_errors
from champion.core.strict_yaml import Sections, read
from champion.judging.comparison import Comparison, Kind, compare_scores, draw_resamples
from champion.model.bootstrap import Scores, Target
from champion.model.decision import lowest_cut
from champion.model.metrics import mean
from champion.model.weighted import weighted_roc_auc
from champion.monitoring.triggers import Trigger
from champion.params import Challenge, Monitoring
from champion.pipeline.evaluate.params import Evaluate
from champion.retraining.replay.evidence import Evidence, Served, Version
from champion.retraining.replay.history import History, model_of
from champion.retraining.replay.layout import CARDS, CHECKS, PARAMS, QUARTERS, ROOT, TRAININGS
from champion.retraining.replay.params import QUARTER, ReplayParams
from champion.table.columns import TARGET
from champion.table.window import shift

KINDS: dict[str, Kind] = {"superiority": "must win", "refresh": "must not lose"}


class WalkParams(Sections):
    """The sections of the repository's params.yaml that a walk reads."""

    evaluate: Evaluate
    challenge: Challenge = Challenge()
    monitoring: Monitoring = Monitoring()


def main() -> None:
    name = sys.argv[1]
    with stage_errors("walk"):
        rules, params = read(ReplayParams, PARAMS), read(WalkParams, ROOT / "params.yaml")
        days = [day for day in rules.quarters if day >= rules.first]
        cards = {day: read_json(CARDS / f"{day}.json") for day in days}
        walk = Walk.of(name, History.read(), cards, rules, params)
        with progress(f"{name}: walking through {len(days)} quarters"):
            quarters, checks, trainings = walk.go()
        write_json(CHECKS / f"{name}.json", {"checks": checks})
        with replacing(QUARTERS / f"{name}.csv") as draft:
            pl.DataFrame(quarters, infer_schema_length=None).write_csv(draft, float_precision=6)
        write_json(TRAININGS / f"{name}.json", {"trainings": trainings})
        print(f"{name}: {len(trainings)} trainings")


class Walk:
    """One policy, from the first version on, a quarter after the other."""

    def __init__(self, evidence: Evidence, cards: dict[date, dict[str, Any]], approval_rate: float) -> None:
        self._evidence, self._cards, self._approval_rate = evidence, cards, approval_rate
        first = Version(min(cards), cards[min(cards)])
        self._served = Served(first, first.day, (first,), first.day)

    @classmethod
    def of(
        cls, name: str, history: History, cards: dict[date, dict[str, Any]], rules: ReplayParams, params: WalkParams
    ) -> "Walk":
        """The walk of a policy of replay/params.yaml, whose number of resamples counts."""
        evaluate = params.evaluate.model_copy(update={"bootstrap_samples": rules.samples})
        challenge = params.challenge.model_copy(update={"samples": rules.samples})
        evidence = Evidence(history, rules.policies[name], params.monitoring, challenge, evaluate)
        return cls(evidence, cards, rules.approval_rate)

    def go(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
        """What was served in each quarter, each check of the triggers, and each training, as JSON."""
        quarters, checks, trainings = [], [], []
        days = sorted(self._cards)
        for day, end in pairwise([*days, shift(days[-1], QUARTER, 1)]):
            if day > days[0]:
                triggers = self._evidence.triggers(self._served, day)
                checks.append({"quarter": str(day), "triggers": [one.describe() for one in triggers]})
                due = [one for one in triggers if one.verdict == "due"]
                if due:
                    trainings.append(self._train(day, due))
            quarters.append(self._serve(day, end))
        return quarters, checks, trainings

    def _train(self, day: date, due: list[Trigger]) -> dict[str, Any]:
        """Train, judge and deploy as `champion retrain` does: the gates first, then the challenge."""
        card, served = self._cards[day], self._served
        self._served = replace(served, trained=day)
        told: dict[str, Any] = {
            "quarter": str(day),
            "due": [one.name for one in due],
            "rows": card["trained_rows"],
            "gain": None,
        }
        if card["failures"]:
            return told | {"result": "refused", "reasons": card["failures"]}
        version = Version(day, card)
        self._served = replace(self._served, versions=(*served.versions, version))
        reasons, comparison = self._challenge(served.version, version)
        if comparison is not None:
            told["gain"] = comparison.describe()["gain"]
        if reasons:
            return told | {"result": "lost", "reasons": reasons}
        self._served = replace(self._served, version=version, since=day)
        return told | {"result": "deployed", "reasons": []}

    def _challenge(self, champion: Version, challenger: Version) -> tuple[list[str], Comparison | None]:
        """Why the challenger loses, on its own test rows; both judged models are older than these."""
        kind, required, history = (
            KINDS.get(self._evidence.policy.challenge),
            self._evidence.challenge,
            self._evidence.history,
        )
        if kind is None:
            return [], None
        test = history.test(challenger.day)
        try:
            resamples = draw_resamples(test, required)
        except ConflictError as error:
            return [str(error)], None
        splits = [history.calendar_at(version.day).split for version in (champion, challenger)]
        probabilities = [model_of(split).predict(test.rows) for split in splits]
        cut = challenger.card["metrics"]["cut"]
        comparison = compare_scores(required.metric, test.target, probabilities, cut, resamples)
        return comparison.shortfalls(kind, required), comparison

    def _serve(self, day: date, end: date) -> dict[str, Any]:
        """What the served version does on the rows of the quarter whose label is known at last."""
        evidence, version = self._evidence, self._served.version
        rows = evidence.answers(version, evidence.history.between(day, end).rows)
        estimated = evidence.performance(self._served, day, end).estimated
        labelled = rows.filter(pl.col(TARGET).is_not_null())
        known_rate = model_of(day).manifest.base_rate
        found = score_served(
            labelled[TARGET].to_numpy(), labelled["probability"].to_numpy(), known_rate, self._approval_rate
        )
        expected = None if estimated.metrics is None else estimated.metrics["roc_auc"]
        return {"quarter": str(day), "version": str(version.day), **found, "estimated_roc_auc": expected}


def score_served(target: Target, probability: Scores, known_rate: float, approval_rate: float) -> dict[str, Any]:
    """What the probabilities were worth; NaN where the rows do not define it.

    - `brier_skill`: 1 - Brier / reference Brier; the reference always says `known_rate`, the rate of positives that was
      known on the first day.
    - `accepted_rate`: the share of positives among the `approval_rate` of the rows with the lowest probabilities.
    """
    # 1 - 0.9 is a little less than 0.1, which would flag a row less.
    accepted = probability < lowest_cut(probability, round(1 - approval_rate, 6))
    reference = mean((target - known_rate) ** 2)
    return {
        "rows": len(target),
        "base_rate": mean(target),
        "known_rate": known_rate,
        "mean_probability": mean(probability),
        "roc_auc": weighted_roc_auc(target, probability)(np.ones(len(target))),
        "brier_skill": 1 - mean((target - probability) ** 2) / reference,
        "accepted_rate": mean(target[accepted]),
    }


if __name__ == "__main__":
    main()
