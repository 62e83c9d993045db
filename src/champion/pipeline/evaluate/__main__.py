"""Stage 5: score the model on held-out rows -> metrics, plot data, verdicts, card. A bad model does not fail it."""

from champion.core.files import read_json, replacing, sha256_of, write_json
from champion.core.layout import (
    CARD,
    EVALUATION,
    GATES,
    MODEL,
    PARAMS,
    PLOTS,
    PREPARED,
    RUNTIME_LOCK,
    SCHEMA,
    SEGMENTS,
    TRAINING,
    VALIDATED,
)
from champion.core.metrics_file import lay_out_metrics, read_metrics
from champion.core.stage import progress, stage_errors
from champion.core.strict_yaml import read
from champion.core.values import rounded
from champion.model.model_file import load
from champion.pipeline.evaluate import model_card
from champion.pipeline.evaluate.params import EvaluateParams
from champion.pipeline.evaluate.stage import plot_tables, score_by_segment, score_model, summary
from champion.pipeline.evaluate.verdicts import judge, listed
from champion.table.dataset import read_split


def main() -> None:
    with stage_errors():
        params = read(EvaluateParams, PARAMS)
        model, data = load(MODEL), read_split(PREPARED, "test")
        with progress(f"scoring {len(data.target):,} held-out rows, with intervals and importances"):
            probability = model.predict(data.rows)
            threshold = model.threshold(params.evaluate.threshold)
            metrics = rounded(score_model(data, probability, threshold, params.evaluate))
            segments = rounded(score_by_segment(data, probability, threshold, params.evaluate))
            tables = plot_tables(model, data, probability, threshold, params.evaluate)
        verdicts = rounded(judge(metrics, params.gates))
        hashes = {str(path): sha256_of(path) for path in (MODEL, RUNTIME_LOCK)} | read_json(VALIDATED)
        worst = next(iter(segments["worst"]), None)
        card = model_card.render(read_json(SCHEMA), read_metrics(TRAINING), metrics, worst, verdicts, hashes)
        with replacing(PLOTS) as draft:
            draft.mkdir()
            for name, table in tables.items():
                table.write_csv(draft / f"{name}.csv", float_precision=6)
        write_json(EVALUATION, lay_out_metrics(metrics))
        write_json(SEGMENTS, segments)
        write_json(
            GATES, {"models": [{"path": str(MODEL), "sha256": hashes[str(MODEL)]}], "verdicts": listed(verdicts)}
        )
        with replacing(CARD) as draft:
            draft.write_text(card, encoding="utf-8")
        print(summary(metrics, verdicts))


if __name__ == "__main__":
    main()
