"""Stage 6: the recipe rehearsed at earlier dates, which is only shown -> models/rehearsed_scores.parquet."""

from champion.core.files import read_parquet, write_parquet
from champion.core.layout import CHOOSING_SCORES, EARLIER, REHEARSED_SCORES
from champion.core.stage import progress, stage_errors
from champion.model.fitting import read_recipe
from champion.model.scores import REHEARSED_AT
from champion.pipeline.rehearse.stage import rehearse_earlier
from champion.table.dataset import Dataset


def main() -> None:
    with stage_errors("rehearse"):
        recipe, data, chosen = read_recipe(), Dataset.read(EARLIER), read_parquet(CHOOSING_SCORES)
        with progress(f"rehearsing {recipe.estimator} at earlier dates"):
            scores = rehearse_earlier(recipe, data, chosen)
        write_parquet(REHEARSED_SCORES, scores)
        count = scores[REHEARSED_AT].n_unique()
        print(f"{REHEARSED_SCORES}: {count} rehearsal{'' if count == 1 else 's'}, {scores.height:,} rows")


if __name__ == "__main__":
    main()
