"""What holds for every workflow: thin, closed, and pinned."""

import re
from pathlib import Path

import botocore.session
import pytest

from support.act import WORKFLOWS, read_yaml
from support.s3 import REGION


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_are_thin_and_closed(path: Path) -> None:
    workflow = read_yaml(path)
    assert workflow["permissions"] == {}
    assert "pull_request_target" not in workflow["on"]
    assert "concurrency" in workflow
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert job["permissions"]
        for step in job["steps"]:
            assert "uses" in step or re.fullmatch(r"make [a-z-]+", step["run"])


def test_actions_are_pinned_by_commit_and_say_their_version() -> None:
    for path in WORKFLOWS:
        for line in path.read_text(encoding="utf-8").splitlines():
            if "uses:" in line:
                assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_a_repository_without_an_endpoint_variable_uses_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in WORKFLOWS:
        for job in read_yaml(path)["jobs"].values():
            for step in job["steps"]:
                endpoint = step.get("env", {}).get("AWS_ENDPOINT_URL")
                assert endpoint in (None, "${{ vars.AWS_ENDPOINT_URL }}")
                assert endpoint or step.get("run") not in ("make pull", "make push")
                assert endpoint is None or "uses" not in step, "a role is always of AWS"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    client = botocore.session.get_session().create_client("s3", region_name=REGION)
    assert client.meta.endpoint_url.endswith(".amazonaws.com")
