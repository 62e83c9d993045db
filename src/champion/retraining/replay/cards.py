"""Stage `cards`: what each training promises, and what came true -> cards/, results/promises.json.

A card holds what evaluate and package write for a training on that day, made of the same functions.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from joblib import Parallel, delayed
from joblib.externals.loky import cpu_count

from champion.core.files import replacing, write_json
from champion.core.metrics_file import metrics_of
from champion.core.stage import progress, stage_errors
from champion.core.strict_yaml import read
from champion.core.values import rounded
from champion.judging.gate import shortfalls
from champion.model.bootstrap import Resamples
from champion.model.metrics import mean, score
from champion.model.model import is_positive
from champion.model.scores import CHOSE, KNOWN_RATE, REHEARSED_AT, SCORE
from champion.model.stability import agreement, psi
from champion.pipeline.evaluate.params import EvaluateParams
from champion.pipeline.evaluate.reference import describe_reference
from champion.pipeline.evaluate.stage import describe_rehearsals, expect, score_test
from champion.pipeline.package.stage import cut_of, share_to_flag
from champion.pipeline.train.params import TrainParams
from champion.pipeline.train.stage import summarise
from champion.retraining.replay.history import History, model_of
from champion.retraining.replay.layout import CARDS, PARAMS, PROMISES, ROOT
from champion.retraining.replay.params import Judging
from champion.table.columns import TARGET

# Of a rehearsal, as rehearse has it.
SCORES = {REHEARSED_AT: pl.String, TARGET: pl.Int8, SCORE: pl.Float64, KNOWN_RATE: pl.Float64}
SHOWN = ("rows", "roc_auc", "brier_skill", "base_rate", "mean_probability", "observed_expected")
PROMISED = (*SHOWN, "roc_auc_low", "roc_auc_high", "rehearsed_roc_auc_low", "rehearsed_roc_auc_high")


class CardParams(EvaluateParams, TrainParams):
    """The sections of the repository's params.yaml that a card reads."""


def main() -> None:
    with stage_errors("cards"):
        rules, params = read(Judging, PARAMS), read(CardParams, ROOT / "params.yaml")
        days = [day for day in rules.quarters if day >= rules.first]
        with progress(f"judging the trainings of {len(days)} quarters"), Parallel(n_jobs=cpu_count()) as pool:
            # Each is a part of many cards.
            scores = dict(zip(rules.quarters, pool(delayed(rehearse)(day) for day in rules.quarters), strict=True))
            history = History.read()
            tasks = []
            for day in days:
                calendar = history.calendar_at(day)
                needed = {*calendar.choosing(calendar.split), *calendar.shown, day}
                tasks.append(delayed(make_card)(day, {one: scores[one] for one in needed & set(scores)}, params, rules))
            cards = pool(tasks)
        with replacing(CARDS) as draft:
            draft.mkdir()
            for day, card in zip(days, cards, strict=True):
                # With all digits: a cut is a probability of a row, and the ends of bins are values of the table.
                text = json.dumps(card, indent=2, sort_keys=True)
                (draft / f"{day}.json").write_text(text + "\n", encoding="utf-8")
        write_json(PROMISES, {"promises": [_promise(day, card) for day, card in zip(days, cards, strict=True)]})
        print(f"{CARDS}: {len(cards)} cards, {sum(bool(card['failures']) for card in cards)} refused by the gates")


def rehearse(day: date) -> pl.DataFrame:
    """What that day's model says of the rows of the test after it, as rehearse has it; empty with less than 2 classes.

    Only rows whose label is known at last are in it.
    """
    history = History.read()
    tested = history.between(day, history.calendar_at(day).end_of_test(day))
    tested = tested.only(tested.rows[TARGET].is_not_null().to_numpy())
    if len(np.unique(tested.target)) < 2:
        return pl.DataFrame(schema=SCORES)
    model = model_of(day)
    scores = {TARGET: tested.target, SCORE: model.predict(tested.rows)}
    told = pl.DataFrame(scores).with_columns(
        pl.lit(str(day)).alias(REHEARSED_AT), pl.lit(model.manifest.base_rate).alias(KNOWN_RATE)
    )
    return told.select(*SCORES)


def make_card(day: date, scores: Mapping[date, pl.DataFrame], params: CardParams, rules: Judging) -> dict[str, Any]:
    """The card of a training on that day, of what was known then; only `realised` looks at the year after.

    `scores` has what the models of that day and of its rehearsals said, as `rehearse` gives it. `cut` is the delivered
    model's, `failures` says why the gates are closed, and `reference` is the drift reference.
    """
    history = History.read()
    calendar = history.calendar_at(day)
    split = calendar.split
    chosen, shown = (_join(scores, days) for days in (calendar.choosing(split), calendar.shown))
    share = share_to_flag(params.decision, chosen)
    usual, newest = history.newest(split), history.newest(day)
    judged, delivered = model_of(split), model_of(day)
    before, latest = judged.predict(usual.rows), delivered.predict(newest.rows)
    judged_cut, cut = (cut_of(params.decision, share, pl.DataFrame({SCORE: found})) for found in (before, latest))
    judged = replace(judged, manifest=replace(judged.manifest, cut=judged_cut))

    test = history.test(day)
    probability = judged.predict(test.rows)
    resamples = Resamples(len(test.target), test.groups, rules.samples, params.evaluate.seed)
    metrics = score_test(judged, test, probability, resamples)
    agreed = agreement(judged.predict(newest.rows), latest)
    metrics |= {f"agreement_{name}": value for name, value in agreed.items()}
    metrics["delivered_flagged_share"] = mean(is_positive(latest, cut))
    metrics["score_psi"] = psi(pl.Series(before), pl.Series(probability))
    rehearsals = describe_rehearsals(shown.with_columns(pl.lit(value=False).alias(CHOSE)))
    metrics = rounded(metrics | expect(rehearsals))
    # What a training writes is rounded too, so both are judged alike.
    training = rounded(metrics_of(summarise(params.train, params.train, history.trained(split), chosen)))
    return {
        "cut": cut,
        "trained_rows": history.trained(day).rows.height,
        "metrics": metrics,
        "failures": shortfalls(metrics, training, params.gates),
        "reference": describe_reference(newest, latest),
        "realised": _realise(scores[day], cut) if calendar.known(day) <= rules.until else None,
    }


def _join(scores: Mapping[date, pl.DataFrame], days: Sequence[date]) -> pl.DataFrame:
    """The scores of these days, of which some may have no model."""
    return pl.concat([pl.DataFrame(schema=SCORES), *(scores[day] for day in days if day in scores)])


def _realise(scores: pl.DataFrame, cut: float) -> dict[str, Any] | None:
    """What the delivered model did in the length of a test from its date on; None with less than 2 classes."""
    if scores.is_empty():
        return None
    found = score(scores[TARGET].to_numpy(), scores[SCORE].to_numpy(), cut, scores[KNOWN_RATE][0])
    return {name: ({"rows": scores.height} | found)[name] for name in SHOWN}


def _promise(day: date, card: dict[str, Any]) -> dict[str, Any]:
    """What people compare: the card's promise, what came true, and whether it lies in the rehearsals' interval."""
    promised, realised = {name: card["metrics"][name] for name in PROMISED}, card["realised"]
    low, high = (promised[f"rehearsed_roc_auc_{end}"] for end in ("low", "high"))
    within = None if realised is None or low is None else low <= realised["roc_auc"] <= high
    return {
        "quarter": str(day),
        "failures": card["failures"],
        "promised": promised,
        "realised": realised,
        "within_rehearsals": within,
    }


if __name__ == "__main__":
    main()
