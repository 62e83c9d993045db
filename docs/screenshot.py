"""Take the pictures of the page for the README: `python docs/screenshot.py` runs `champion demo` and looks at it."""

import base64
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from support.browser import launch, unpack  # noqa: E402

PICTURES = {"light": "page.png", "dark": "page-dark.png"}
PAGE = re.compile(r"The page is (\S+) \(name: (\S+), password: (\S+)\)")


def main() -> None:
    """Write the pictures: the page down to its calibration."""
    command = [Path(sys.executable).with_name("champion"), "demo", "--port", "0"]
    # The picture names no machine.
    named = os.environ | {"GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "ada"}
    demo = subprocess.Popen(command, cwd=ROOT, env=named, stdout=subprocess.PIPE, text=True)
    try:
        address = next(found for line in demo.stdout or () if (found := PAGE.search(line)))
        with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
            chromium = unpack(Path(folder) / "chromium")
            browser = launch(playwright, chromium)
            page = browser.new_page()
            key = base64.b64encode(f"{address[2]}:{address[3]}".encode()).decode()
            page.set_extra_http_headers({"Authorization": f"Basic {key}"})
            page.set_viewport_size({"width": 1000, "height": 1000})
            page.goto(address[1])
            page.get_by_text("Calibration shows").wait_for(timeout=60_000)
            end = page.locator("section[aria-labelledby=calibration]").bounding_box()
            for scheme, name in PICTURES.items():
                page.emulate_media(color_scheme=scheme)
                shown = {"x": 0, "y": 0, "width": 1000, "height": end["y"] + end["height"] + 16}
                page.screenshot(path=ROOT / "docs/images" / name, full_page=True, clip=shown)
            browser.close()
    finally:
        demo.terminate()
        demo.wait()


if __name__ == "__main__":
    main()
