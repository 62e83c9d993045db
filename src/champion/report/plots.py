"""The plots that dvc.yaml defines, drawn with DVC's templates, for one revision or for several together."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from champion.core.errors import UserError
from champion.core.layout import PIPELINE
from champion.core.markdown import printable
from champion.report.themes import themed
from champion.repository.revision import Revision

TEMPLATES = Path(".dvc/plots")

_LABELS = ("title", "x_label", "y_label")
_ID = re.compile(r'(id="|url\(#)(\w+)')


@dataclass(frozen=True)
class Plot:
    """A plot's properties, as DVC infers them, and its points. A point's `rev` is its side, `field` its column."""

    name: str
    points: list[dict[str, Any]]
    properties: Mapping[str, Any]

    @property
    def stem(self) -> str:
        """The plot's name without folder and file extension."""
        return Path(self.name).stem

    @property
    def title(self) -> str:
        """The title that dvc.yaml gives, or the plot's name."""
        return str(self.properties.get("title") or printable(self.name))

    def spec(self) -> dict[str, Any]:
        """The Vega-Lite specification. Raises `UserError` when DVC cannot make one."""
        from dvc_render.exceptions import DvcRenderError
        from dvc_render.vega import VegaRenderer

        try:
            properties = {**self.properties, "title": self.title}
            renderer = VegaRenderer([dict(point) for point in self.points], self.name, **properties)
            spec: dict[str, Any] = renderer.get_filled_template()
        except DvcRenderError as error:
            raise self._undrawable(error) from None
        if len({point["rev"] for point in self.points}) < 2:
            _explain_no_side(spec)
        return spec

    def svg(self) -> str:
        """The plot as SVG. Raises `UserError` when the package that draws it is not installed, or cannot draw it."""
        try:
            import vl_convert
        except ImportError:
            raise UserError(
                "vl-convert-python, which draws plots, is not installed. Run `make setup GROUP=report`, or "
                "`pip install --no-deps --require-hashes -r requirements/report.txt`."
            ) from None
        try:
            drawn: str = vl_convert.vegalite_to_svg(json.dumps(self.spec()))
        except ValueError as error:
            raise self._undrawable(error) from None
        # Vega numbers ids across pictures. These ids depend on the plot alone: equal plots give equal pictures, and
        # two plots in one page have different ids.
        ids: dict[str, str] = {}
        prefix = re.sub(r"\W", "-", self.name)
        return themed(_ID.sub(lambda found: found[1] + ids.setdefault(found[2], f"{prefix}-{len(ids)}"), drawn))

    def _undrawable(self, error: Exception) -> UserError:
        reason = printable(" ".join(str(error).split()), 200)
        return UserError(f"{PIPELINE}: the plot `{printable(self.name)}` cannot be drawn: {reason}")


def read_plots(sides: Mapping[str, Revision]) -> Iterator[Plot]:
    """The plots that the last side's dvc.yaml defines, each with the data of all sides that have some."""
    from dvc.exceptions import DvcException
    from dvc.render.converter.vega import VegaConverter

    head = list(sides.values())[-1]
    for name, definition in _definitions(head):
        points: list[dict[str, Any]] = []
        properties: dict[str, Any] = {}
        for label, side in sides.items():
            try:
                found, inferred = VegaConverter(name, _tables(side, name, definition), definition).flat_datapoints(
                    label
                )
            except DvcException:
                continue
            points += found
            properties = inferred or properties
        if points:
            # A line break in a label would end the Vega expression that holds it.
            labels = {key: printable(str(properties[key])) for key in _LABELS if properties.get(key) is not None}
            yield Plot(name, points, {**properties, **labels, "template_dir": str(head.root / TEMPLATES)})


def _explain_no_side(part: Any) -> None:
    """Without several sides, no colour or column means one, so none needs a name."""
    if isinstance(part, list):
        for one in part:
            _explain_no_side(one)
    elif isinstance(part, dict):
        for channel, without in (("color", "legend"), ("column", "header")):
            if isinstance(part.get(channel), dict) and part[channel].get("field") == "rev":
                part[channel][without] = None
        for name, one in part.items():
            if name != "data":
                _explain_no_side(one)


def _definitions(side: Revision) -> Iterator[tuple[str, dict[str, Any]]]:
    pipeline = side.yaml(PIPELINE)
    stages = pipeline.get("stages") or {}
    for section in [pipeline, *stages.values()]:
        listed = section.get("plots") or []
        for entry in listed if isinstance(listed, list) else [listed]:
            for name, definition in entry.items() if isinstance(entry, dict) else [(entry, None)]:
                yield str(name), definition if isinstance(definition, dict) else {}


def _tables(side: Revision, name: str, definition: Mapping[str, Any]) -> dict[str, list[dict[str, str | None]]]:
    """The rows of every file that the plot draws (its name may be a file); missing columns are empty."""
    columns: dict[str, list[str]] = {} if isinstance(definition.get("y"), dict) else {name: []}
    for axis in (definition.get("x"), definition.get("y")):
        for file, fields in axis.items() if isinstance(axis, dict) else []:
            columns.setdefault(file, []).extend([fields] if isinstance(fields, str) else fields)
    tables = {
        file: [
            dict.fromkeys(fields) | {column: printable(cell) for column, cell in row.items()}
            for row in side.table(Path(file))
        ]
        for file, fields in columns.items()
    }
    return {file: rows for file, rows in tables.items() if rows}
