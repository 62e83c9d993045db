"""The workflows of a push to main, run by act: the tests, and the push to S3."""

import re
import shutil

import pytest

from support.act import PUSH_ROLE, Runner, read_yaml
from support.project import REPOSITORY, Project
from support.s3 import Bucket, key_of


def test_a_push_to_main_sends_what_s3_lacks(origin: Project, runner: Runner) -> None:
    outs = {out["path"]: out["md5"] for out in read_yaml(origin.folder / "dvc.lock")["stages"]["package"]["outs"]}
    bucket, model = Bucket(runner.server), key_of(outs["models/model.skops"])
    before = bucket.keys()
    bucket.delete(model)
    assert bucket.keys() == before - {model}
    run = runner.act(origin.folder, "pipeline", "store", "push", {"ref": "refs/heads/main", "after": "0" * 40})
    assert run.passed, run.log
    assert run.roles == [PUSH_ROLE]
    assert re.findall(r"Running stage '(\w+)'", run.log)[0] == "package", "S3 had all but the model"
    assert bucket.keys() == before


@pytest.mark.sweep
def test_the_tests_workflow_runs_lint_and_tests_and_holds_its_threshold(origin: Project, runner: Runner) -> None:
    clone = Project(runner.folder / "tests-clone")
    origin.run("git", "clone", "--quiet", str(origin.folder), str(clone.folder))
    for path in (clone.folder / "tests").rglob("test_*.py"):
        path.unlink()
    (clone.folder / "tests/unit").mkdir(exist_ok=True)
    (clone.folder / "tests/unit/test_one.py").write_text(
        '"""One test."""\n\nfrom champion.core import errors\n\n\ndef test_one() -> None:\n    assert errors\n',
        encoding="utf-8",
    )
    # One test needs no workers.
    settings = clone.folder / "pyproject.toml"
    settings.write_text(settings.read_text(encoding="utf-8").replace('"-n3", ', '"-n0", '), encoding="utf-8")
    # The mypy cache of `make lint` in this working tree saves half a minute.
    types = runner.folder / "mypy"
    if (REPOSITORY / ".mypy_cache").is_dir():
        shutil.copytree(REPOSITORY / ".mypy_cache", types)
    options = ["--matrix", "python-version:3.11", "--env", f"MYPY_CACHE_DIR={types}"]
    run = runner.act(clone.folder, "tests", "test", "push", {}, *options)
    assert "1 passed" in run.log
    assert "src/champion/report/comment.py" in run.log, "coverage is shown"
    assert not run.passed, "one test covers too little"
    assert re.search(r"Required test coverage of \d+% not reached", run.log), run.log
    assert (run.artifacts / "coverage-3.11/index.html").is_file(), "of a failed run too"
