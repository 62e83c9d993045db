"""Great Expectations' pages about the data contract."""

import os
from pathlib import Path
from typing import Any

# Great Expectations reads this at import; without it, it would make a network call.
os.environ["GX_ANALYTICS_ENABLED"] = "false"

import great_expectations as gx

from champion.core.errors import UserError
from champion.core.files import replacing
from champion.pipeline.validate.expectations import Checked

# What Great Expectations writes.
WRITTEN = {"expectations", "index.html", "static", "validations"}


def build_data_docs(tables: list[Checked], folder: Path) -> Path:
    """Run the contract once more and write its Data Docs; returns the page to open, `index.html`.

    Raises `UserError` when the folder has anything but Data Docs of before, which are replaced.
    """
    if folder.exists() and not (folder.is_dir() and {path.name for path in folder.iterdir()} <= WRITTEN):
        raise UserError(f"{folder}: it has something else than Data Docs. Give a new folder.")
    with replacing(folder) as draft:
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
        site: Any = {
            "class_name": "SiteBuilder",
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(draft.resolve())},
        }
        for name in list(context.get_site_names()):
            context.delete_data_docs_site(name)
        context.add_data_docs_site("contract", site)
        source = context.data_sources.add_pandas("champion")
        for number, table in enumerate(tables):
            name = f"{number}-{table.name.replace(' ', '-')}"
            whole = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("whole")
            suite = context.suites.add(gx.ExpectationSuite(name, expectations=table.expectations))
            validation = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=whole, suite=suite))
            checkpoint = gx.Checkpoint(name=name, validation_definitions=[validation], actions=[])
            context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": table.frame})
        context.build_data_docs()
    return folder / "index.html"
