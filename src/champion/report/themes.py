"""Pictures that follow the reader's theme, light or dark, by the colours that they are drawn in."""

import re

# Each colour of a light picture, and of a dark one. Vega draws with the first four if a template names no others.
DARK = {
    "white": "#14161a",
    "#000": "#eceef2",
    "#888": "#8b93a1",
    "#ddd": "#343942",
    # The baseline.
    "#666": "#a9b0bc",
    # Series: as different in grey as in colour.
    "#0b5cad": "#7db9ff",
    "#d9730d": "#d9730d",
    "#2a7f3f": "#58c274",
    "#8a4fbf": "#bd93e8",
}
_PAINT = re.compile(r'\b(fill|stroke)="([^"]*)"')


def themed(svg: str) -> str:
    """The picture, dark where the reader prefers that. It brings its own paper."""
    rules = "".join(
        f'[{kind}="{light}"]{{{kind}:{dark}}}' for light, dark in DARK.items() for kind in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme: dark){{{rules}}}</style>"
    return re.sub(r"<svg [^>]*>", lambda opening: opening[0] + style, svg, count=1)


def darkened(svg: str) -> str:
    """The picture, always dark."""
    return _PAINT.sub(lambda found: f'{found[1]}="{DARK.get(found[2], found[2])}"', svg)
