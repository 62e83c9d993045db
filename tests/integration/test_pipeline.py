"""The whole pipeline, as a user runs it."""

from conftest import Project


def test_the_real_run_gives_the_committed_outputs_bit_for_bit(real_run: Project) -> None:
    assert real_run.run("git", "status", "--porcelain").stdout == ""


def test_a_second_run_computes_nothing(sample_run: Project, tmp_path) -> None:
    project = sample_run.copy_to(tmp_path / "again")
    output = project.run("dvc", "repro").stdout
    assert project.ran(output) == []
    assert "Data and pipelines are up to date" in output
