"""The packages, megabytes and seconds of each environment, and what the megabytes of the whole one are.

    python benchmarks/environment.py

`make setup` makes each one in a temporary folder, from the packages that uv's cache has after the first time.
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path

from measure import BIN, REPOSITORY, median, run

# What `make setup` is given. The first one is the whole environment, with which the others are compared.
ENVIRONMENTS = ("", "GROUP=serving", "ONLY=serve", "ONLY=pull", "ONLY=metrics")
LOCK = REPOSITORY / "requirements/runtime.txt"
# What `make setup` reads.
SOURCES = ("LICENSE", "Makefile", "README.md", "pyproject.toml", "requirements", "src")
ROUNDS = 3
# A package below this share of the whole environment is not worth a line.
SHARE = 0.01


def set_up(folder: Path, options: str) -> float:
    """Make the environment in the folder, and return the seconds that this took. This uv does it."""
    for name in SOURCES:
        source = REPOSITORY / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / name)
    run([str(BIN / "uv"), "venv", "--quiet", "--python", sys.executable, str(folder / ".venv")], folder)
    (folder / ".venv/bin/uv").symlink_to(BIN / "uv")
    (folder / ".venv/bin/.bootstrap").touch()
    return run(["make", "--silent", "setup", *options.split()], folder).wall


def installed(folder: Path) -> dict[str, Distribution]:
    """The packages by the name that locks have for them, without Champion itself."""
    (packages,) = folder.glob(".venv/lib/python*/site-packages")
    found = {re.sub(r"[-_.]+", "-", one.name).lower(): one for one in distributions(path=[str(packages)])}
    found.pop("champion")
    return found


def megabytes(paths: Iterable[Path]) -> float:
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def megabytes_of(package: Distribution) -> float:
    """The files that its RECORD names, so without the bytecode that was compiled later."""
    return megabytes(Path(str(package.locate_file(file))) for file in package.files or [])


def requirers() -> dict[str, list[str]]:
    """What requires each package, as the lock says: `champion (...)` where pyproject.toml does."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if line[:1].isalnum():
            name = line.partition("==")[0]
            found[name] = []
        elif line.startswith("    #") and (requirer := line.removeprefix("    #").removeprefix(" via").strip()):
            found[name].append(requirer)
    return found


def print_packages(sizes: dict[str, float]) -> None:
    """The packages of at least `SHARE` of the whole, with what requires them."""
    total, reasons, small = sum(sizes.values()), requirers(), dict(sizes)
    print(f"\nthe whole environment without bytecode: {total:.0f} MB")
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if sizes[name] >= SHARE * total:
            size = small.pop(name)
            print(f"{name:20} {size:6.0f} MB {size / total:4.0%}  for {', '.join(reasons[name])}")
    print(f"{f'{len(small)} others':20} {sum(small.values()):6.0f} MB {sum(small.values()) / total:4.0%}")


def main() -> None:
    seconds: dict[str, list[float]] = {options: [] for options in ENVIRONMENTS}
    lines: dict[str, tuple[int, float]] = {}
    sizes: dict[str, float] = {}
    # The first round fills uv's cache and does not count.
    for measured in [False] + [True] * ROUNDS:
        for options in ENVIRONMENTS:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                took = set_up(folder, options)
                if measured:
                    seconds[options].append(took)
                    continue
                packages = installed(folder)
                lines[options] = len(packages), megabytes((folder / ".venv/lib").rglob("*"))
                sizes = sizes or {name: megabytes_of(one) for name, one in packages.items()}
    whole = lines[""][1]
    for options, (count, size) in lines.items():
        ratio = median([own / base for own, base in zip(seconds[options], seconds[""], strict=True)])
        print(
            f"{f'make setup {options}':24} {count:4} packages, {size:5.0f} MB ({size / whole:4.0%}), "
            f"{median(seconds[options]):5.1f} s ({ratio:4.0%})"
        )
    print_packages(sizes)


if __name__ == "__main__":
    main()
