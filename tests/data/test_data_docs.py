"""The pages of Great Expectations about the data contract."""

import sys
from pathlib import Path

import pytest

from support.project import Project

DATA_DOCS = (sys.executable, "-m", "champion", "data-docs", "--folder")


@pytest.mark.sweep
def test_pages_of_before_are_replaced(sample_run: Project, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    (pages / "static").mkdir(parents=True)
    (pages / "static/old.css").write_text("")
    assert sample_run.run(*DATA_DOCS, str(pages)).stdout.strip() == str(pages / "index.html")
    assert not (pages / "static/old.css").exists()
    assert len(list(pages.rglob("validations/**/*.html"))) == len(list(pages.rglob("expectations/**/*.html"))) > 1


def test_a_folder_with_anything_else_is_not_replaced(sample_run: Project, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    (tmp_path / "work.txt").write_text("of a week")
    refused = sample_run.run(*DATA_DOCS, str(tmp_path), check=False)
    assert refused.returncode == 1
    assert refused.stderr.endswith(f"{tmp_path}: it has something else than Data Docs. Give a new folder.\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "work.txt"]
