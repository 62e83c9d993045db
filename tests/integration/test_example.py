"""The example that the tests have of their own, so that they pass in the repository of a team too."""

from pathlib import Path

import pytest

from support.project import EXAMPLE, REPOSITORY


@pytest.mark.example
@pytest.mark.parametrize("file", [path for path in EXAMPLE.rglob("*") if path.is_file()], ids=lambda path: path.name)
def test_the_example_of_the_tests_is_that_of_the_repository(file: Path) -> None:
    assert file.read_bytes() == (REPOSITORY / file.relative_to(EXAMPLE)).read_bytes(), f"copy it to {file}"
