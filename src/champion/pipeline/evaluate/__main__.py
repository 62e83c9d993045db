"""Stage 8: score the judged model on the test -> metrics, plot data, verdicts, card; and the drift reference.

A bad model does not fail it.
"""

import json

from champion.core.files import read_json, read_parquet, replacing, sha256_of, write_json, write_parquet
from champion.core.layout import (
    AT_AS_OF,
    AT_SPLIT,
    CARD,
    DECISION,
    EVALUATION,
    GATES,
    LABELLED,
    MODEL,
    NEWEST,
    PARAMS,
    PARTS,
    PLOTS,
    REFERENCE,
    REFERENCE_ROWS,
    REHEARSALS,
    REHEARSED,
    REHEARSED_SCORES,
    RUNTIME_LOCK,
    SCHEMA,
    SEGMENTS,
    STABILITY,
    TEST,
    TRAINING,
    UNCONFIRMED,
    VALIDATED,
)
from champion.core.metrics_file import lay_out_metrics, read_metrics
from champion.core.stage import progress, stage_errors
from champion.core.strict_yaml import read
from champion.core.values import rounded
from champion.model.bootstrap import Resamples
from champion.model.decision import describe_decision
from champion.model.metrics import mean
from champion.model.model import is_positive
from champion.model.model_file import load
from champion.model.stability import agreement
from champion.pipeline.evaluate import model_card
from champion.pipeline.evaluate.params import EvaluateParams
from champion.pipeline.evaluate.reference import describe_reference, sample_rows
from champion.pipeline.evaluate.stage import (
    describe_rehearsals,
    expect,
    measure_stability,
    plot_tables,
    score_by_segment,
    score_test,
    summary,
)
from champion.pipeline.evaluate.verdicts import check_gates, gated_metrics, judge, listed
from champion.table.dataset import Dataset


def main() -> None:
    with stage_errors("evaluate"):
        params, training = read(EvaluateParams, PARAMS), read_metrics(TRAINING)
        judged, delivered, test = load(REHEARSED), load(MODEL), Dataset.read(TEST)
        calendar = test.schema.calendar
        # Without dates no row is newest: the rows that the model learned from are the reference.
        reference = Dataset.read(AT_SPLIT / (LABELLED if calendar is None else NEWEST))
        newest = test if calendar is None else Dataset.read(AT_AS_OF / NEWEST)
        resamples = Resamples(len(test.target), test.groups, params.evaluate.bootstrap_samples, params.evaluate.seed)
        with progress(f"scoring {len(test.target):,} test rows, with intervals and importances"):
            probability = judged.predict(test.rows)
            metrics = score_test(judged, test, probability, resamples)
            rehearsals = describe_rehearsals(read_parquet(REHEARSED_SCORES))
            stability = measure_stability(reference, test, judged.predict(reference.rows), probability)
            latest = delivered.predict(newest.rows)
            agreed = agreement(judged.predict(newest.rows), latest)
            usual = reference if calendar is None else newest
            drift = describe_reference(usual, delivered.predict(usual.rows))
            segments = rounded(score_by_segment(test, probability, judged.manifest.cut, params.evaluate, resamples))
            tested = {"rehearsal": judged.manifest.made or "test", **metrics}
            tables = plot_tables(judged, test, probability, [*rehearsals, tested], params.evaluate)
        metrics |= {f"agreement_{name}": value for name, value in agreed.items()}
        metrics["delivered_flagged_share"] = mean(is_positive(latest, delivered.manifest.cut))
        metrics = rounded(metrics | {"score_psi": stability[0]["psi"]} | expect(rehearsals))
        flagged = is_positive(probability, judged.manifest.cut)
        decision = rounded(describe_decision(test.target, flagged, params.decision.costs))
        gated = gated_metrics(metrics, training)
        check_gates(params.gates, gated)
        verdicts = rounded(judge(gated, params.gates))
        hashes = {str(path): sha256_of(path) for path in (MODEL, REHEARSED, RUNTIME_LOCK)} | read_json(VALIDATED)
        worst = next(iter(segments["worst"]), None)
        card = model_card.render(
            schema=read_json(SCHEMA),
            parts=read_json(PARTS),
            unconfirmed=read_json(UNCONFIRMED),
            judged=judged.manifest,
            delivered=delivered.manifest,
            training=training,
            metrics=metrics,
            rehearsals=rounded(rehearsals),
            rule=params.decision,
            decision=decision,
            population=params.evaluate.population,
            worst=worst,
            verdicts=verdicts,
            hashes=hashes,
        )
        with replacing(PLOTS) as draft:
            draft.mkdir()
            for name, table in tables.items():
                table.write_csv(draft / f"{name}.csv", float_precision=6)
        write_json(EVALUATION, lay_out_metrics(metrics))
        write_json(SEGMENTS, segments)
        write_json(REHEARSALS, {"rehearsals": rehearsals})
        write_json(STABILITY, {"psi": stability})
        write_json(DECISION, {"policies": decision})
        models = [{"path": str(path), "sha256": hashes[str(path)]} for path in (MODEL, REHEARSED)]
        write_json(GATES, {"models": models, "verdicts": listed(verdicts)})
        with replacing(REFERENCE) as draft:
            # With all digits: values of the table are the ends of bins, and alike on every processor.
            text = json.dumps(drift, indent=2, sort_keys=True, allow_nan=False)
            draft.write_text(text + "\n", encoding="utf-8")
        write_parquet(REFERENCE_ROWS, sample_rows(usual))
        with replacing(CARD) as draft:
            draft.write_text(card, encoding="utf-8")
        print(summary(metrics, verdicts))


if __name__ == "__main__":
    main()
