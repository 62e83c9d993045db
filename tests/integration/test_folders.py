"""Commands work in every folder of the repository."""

from support.project import Project


def test_a_command_in_a_sub_folder_answers_as_in_the_root(small_run: Project) -> None:
    inside = Project(small_run.folder / "src/champion")
    here, there = (project.champion("gate", check=False) for project in (inside, small_run))
    assert (here.stdout, here.stderr) == (there.stdout, there.stderr)
    assert "the gate is open" in here.stdout


def test_a_path_on_the_command_line_is_from_the_users_folder(small: Project) -> None:
    inside = Project(small.folder / "docs")
    inside.champion("report", "--base", "main", "--output", "here/report.md", "--html", "../report.html")
    assert (small.folder / "docs/here/report.md").is_file()
    assert (small.folder / "report.html").is_file()
