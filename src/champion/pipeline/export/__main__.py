"""Stage 9: the delivered model as one ONNX file, and the proof that it answers alike -> models/model.onnx."""

from champion.core.files import read_parquet, replacing, sha256_of, write_json
from champion.core.layout import EXPORT, MODEL, MODEL_ONNX, TEST
from champion.core.metrics_file import lay_out_metrics
from champion.core.stage import progress, stage_errors
from champion.model.model_file import load
from champion.model.onnx_scorer import OnnxScorer
from champion.pipeline.export.graph import to_onnx
from champion.pipeline.export.stage import prove


def main() -> None:
    with stage_errors("export"):
        model, rows = load(MODEL), read_parquet(TEST)
        content = to_onnx(model)
        with progress(f"comparing {MODEL_ONNX} with the model on {rows.height:,} rows"):
            proof = prove(model, OnnxScorer.parse(content, str(MODEL_ONNX)), rows)
        with replacing(MODEL_ONNX) as draft:
            draft.write_bytes(content)
        models = [{"path": str(path), "sha256": sha256_of(path)} for path in (MODEL, MODEL_ONNX)]
        write_json(EXPORT, {"models": models} | lay_out_metrics(proof))
        print(f"{MODEL_ONNX}: {len(content):,} bytes, answers as {MODEL} on {proof['rows'] + proof['odd_rows']:,} rows")


if __name__ == "__main__":
    main()
