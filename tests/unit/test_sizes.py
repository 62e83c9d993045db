"""A source file says one thing. One that is too long says two, and has a seam where it can be split."""

from support.project import REPOSITORY

ROOTS = ("src", "benchmarks", "dags", "docs")
MOST_LINES = 250


def test_no_source_file_is_too_long() -> None:
    files = [path for root in ROOTS for path in sorted((REPOSITORY / root).rglob("*.py"))]
    assert {path.relative_to(REPOSITORY).parts[0] for path in files} == set(ROOTS)
    lines = {str(path.relative_to(REPOSITORY)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}
