"""Stage `cards`: what each training promises, and what came true -> cards/, results/promises.json.

A card holds what evaluate and package write for a training on that day, made of the same functions.
"""

import json
from dataclasses import replace
from datetime import date
from functools import partial
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
from champion.model.model import Model, is_positive
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
from champion.table.dataset import Dataset

SHOWN = ("rows", "roc_auc", "brier_skill", "base_rate", "mean_probability", "observed_expected")
PROMISED = (*SHOWN, "roc_auc_low", "roc_auc_high", "rehearsed_roc_auc_low", "rehearsed_roc_auc_high")


class CardParams(EvaluateParams, TrainParams):
    """The sections of the repository's params.yaml that a card reads."""


def main() -> None:
    with stage_errors():
        rules, params = read(Judging, PARAMS), read(CardParams, ROOT / "params.yaml")
        days = [day for day in rules.quarters if day >= rules.first]
        with progress(f"judging the trainings of {len(days)} quarters"):
            make = partial(make_card, params=params, rules=rules)
            cards = Parallel(n_jobs=cpu_count())(delayed(make)(day) for day in days)
        with replacing(CARDS) as draft:
            draft.mkdir()
            for day, card in zip(days, cards, strict=True):
                # With all digits: a cut is a probability of a row, and the ends of bins are values of the table.
                text = json.dumps(card, indent=2, sort_keys=True)
                (draft / f"{day}.json").write_text(text + "\n", encoding="utf-8")
        write_json(PROMISES, {"promises": [_promise(day, card) for day, card in zip(days, cards, strict=True)]})
        print(f"{CARDS}: {len(cards)} cards, {sum(bool(card['failures']) for card in cards)} refused by the gates")


def make_card(day: date, params: CardParams, rules: Judging) -> dict[str, Any]:
    """The card of a training on that day, of what was known then; only `realised` looks at the year after.

    `cut` is the delivered model's, `failures` says why the gates are closed, and `reference` is the drift reference.
    """
    history = History.read()
    calendar = history.calendar_at(day)
    split = calendar.split
    chosen = _rehearsals(history, calendar.choosing(split), rules, chose=True)
    shown = _rehearsals(history, calendar.shown, rules, chose=False)
    share = share_to_flag(params.decision, chosen)
    usual, newest = history.newest(split), history.newest(day)
    cut = partial(_with_cut, params=params, share=share)
    judged, delivered = cut(model_of(split), usual), cut(model_of(day), newest)

    test = history.test(day)
    probability, latest = judged.predict(test.rows), delivered.predict(newest.rows)
    resamples = Resamples(len(test.target), test.groups, rules.samples, params.evaluate.seed)
    metrics = score_test(judged, test, probability, resamples)
    agreed = agreement(judged.predict(newest.rows), latest)
    metrics |= {f"agreement_{name}": value for name, value in agreed.items()}
    metrics["delivered_flagged_share"] = mean(is_positive(latest, delivered.manifest.cut))
    metrics["score_psi"] = psi(pl.Series(judged.predict(usual.rows)), pl.Series(probability))
    metrics = rounded(metrics | expect(describe_rehearsals(shown)))
    # What a training writes is rounded too, so both are judged alike.
    training = rounded(metrics_of(summarise(params.train, params.train, history.trained(split), chosen)))
    return {
        "cut": delivered.manifest.cut,
        "trained_rows": history.trained(day).rows.height,
        "metrics": metrics,
        "failures": shortfalls(metrics, training, params.gates),
        "reference": describe_reference(newest, latest),
        "realised": _realise(history, delivered, day, rules.until),
    }


def _with_cut(model: Model, newest: Dataset, params: CardParams, share: float | None) -> Model:
    scores = pl.DataFrame({SCORE: model.predict(newest.rows)})
    return replace(model, manifest=replace(model.manifest, cut=cut_of(params.decision, share, scores)))


def _rehearsals(history: History, days: list[date], rules: Judging, *, chose: bool) -> pl.DataFrame:
    """The scores in the rehearsals of these days, as rehearse has them; without one that has no model, or one class."""
    schema = {REHEARSED_AT: pl.String, TARGET: pl.Int8, SCORE: pl.Float64, KNOWN_RATE: pl.Float64, CHOSE: pl.Boolean}
    found = [pl.DataFrame(schema=schema)]
    for day in days:
        tested = history.between(day, history.calendar_at(day).end_of_test(day))
        tested = tested.only(tested.rows[TARGET].is_not_null().to_numpy())
        if day not in rules.quarters or len(np.unique(tested.target)) < 2:
            continue
        model = model_of(day)
        scores = tested.rows.select(
            pl.lit(str(day)).alias(REHEARSED_AT),
            TARGET,
            pl.Series(SCORE, model.predict(tested.rows)),
            pl.lit(model.manifest.base_rate).alias(KNOWN_RATE),
            pl.lit(chose).alias(CHOSE),
        )
        found.append(scores)
    return pl.concat(found)


def _realise(history: History, delivered: Model, day: date, until: date) -> dict[str, Any] | None:
    """What the delivered model did in the length of a test from its date on; None if not all labels are known."""
    calendar = history.calendar_at(day)
    after = history.between(day, calendar.end_of_test(day))
    after = after.only(after.rows[TARGET].is_not_null().to_numpy())
    if calendar.known(day) > until or len(np.unique(after.target)) < 2:
        return None
    manifest = delivered.manifest
    found = score(after.target, delivered.predict(after.rows), manifest.cut, manifest.base_rate)
    return {name: ({"rows": len(after.target)} | found)[name] for name in SHOWN}


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
