"""Workflows run by act in temporary clones, with stand-ins for GitHub's own actions."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from champion.repository.local_s3 import LocalServer
from support.github_api import Hub
from support.project import REPOSITORY, Project
from support.s3 import REGION
from support.warm import warm_programs

WORKFLOWS = sorted((REPOSITORY / ".github/workflows").glob("*.yml"))
STAND_INS = Path(__file__).parent / "actions"
PULL_ROLE = "arn:aws:iam::000000000000:role/pull"
PUSH_ROLE = "arn:aws:iam::000000000000:role/push"
DELIVERY_ROLE = "arn:aws:iam::000000000000:role/delivery"
HOSTILE = "x$(touch${IFS}PWNED)`touch${IFS}PWNED`;touch${IFS}PWNED;'\"|<b>@all&"
HOSTILE_METRIC = "x|`<img src=x onerror=alert(1)>`\n\n# @everyone [a](javascript:b)"


def read_yaml(path: Path) -> dict[str, Any]:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def actions_used() -> list[str]:
    """Every `uses:` of all workflows."""
    return re.findall(r"uses: (\S+)", "\n".join(path.read_text(encoding="utf-8") for path in WORKFLOWS))


def use_this_environment(project: Project) -> None:
    """Give a clone the environment that runs the tests, so that `make` sets up nothing."""
    programs = project.folder / ".venv/bin"
    programs.mkdir(parents=True)
    for program in (Path(sys.prefix) / "bin").iterdir():
        (programs / program.name).symlink_to(program)
    for program in ("dvc", "champion"):
        (programs / program).unlink()
        shutil.copy(warm_programs() / program, programs)
    for stamp in (".bootstrap", ".runtime", ".report", ".development"):
        (programs / stamp).touch()


@dataclass(frozen=True)
class Run:
    """A workflow run: its output, whether it passed, and its artifacts."""

    number: int
    passed: bool
    log: str
    artifacts: Path
    roles: list[str]
    cache: Path
    sha: str = ""

    @property
    def built(self) -> list[str]:
        """The stages that ran before the step that reproduces the whole pipeline in a clone."""
        return re.findall(r"Running stage '(\w+)'", self.log.partition("Run Main Is the committed lock true")[0])

    @property
    def report(self) -> str:
        return (self.artifacts / "report/report.md").read_text(encoding="utf-8")

    def step_failed(self, name: str) -> bool:
        return f"❌  Failure - Main {name}" in self.log


@dataclass
class Runner:
    """Runs workflows in fresh clones of `origin`, each with artifacts and a cache of its own, and talks to `hub`."""

    folder: Path
    origin: Project
    hub: Hub
    server: LocalServer
    runs: list[Run] = field(default_factory=list)

    def pull_request(
        self, head: str, base: str, *, owner: str = "o", name: str = "topic", after: Run | None = None
    ) -> Run:
        """pipeline.yml on the merge of two of origin's branches, as GitHub checks it out, with the cache of `after`.

        `name` is the pull request's title, its text and the name that its branch has at GitHub.
        """
        number = len(self.runs) + 1
        clone = Project(self.folder / f"clone{number}")
        self.origin.run("git", "clone", "--quiet", str(self.origin.folder), str(clone.folder))
        for key in ("user.name", "user.email"):
            clone.run("git", "config", key, "test@example.org")
        clone.run("git", "checkout", "--quiet", "--detach", f"origin/{base}")
        clone.run("git", "merge", "--quiet", "--no-ff", "-X", "theirs", "-m", "Merge", f"origin/{head}")
        sha = clone.run("git", "rev-parse", f"origin/{head}").stdout.strip()
        event = {
            "action": "synchronize",
            "number": number,
            "pull_request": {
                "number": number,
                "title": name,
                "body": name,
                "head": {"ref": name, "sha": sha, "repo": {"full_name": f"{owner}/champion"}},
                "base": {"ref": base, "repo": {"full_name": self.hub.repository}},
            },
        }
        cache = after.cache if after else None
        run = self.act(clone.folder, "pipeline", "change", "pull_request", event, sha=sha, cache=cache)
        self.runs.append(run)
        return run

    def comment(self, run: Run, *, owner: str = "o", branch: str = HOSTILE) -> Run:
        """comment.yml, as GitHub starts it when this run of pipeline.yml ends."""
        repository = {"full_name": f"{owner}/champion", "owner": {"login": owner}}
        workflow_run = {
            "id": run.number,
            "run_number": run.number,
            "event": "pull_request",
            "conclusion": "success" if run.passed else "failure",
            "head_sha": run.sha,
            "head_branch": branch,
            "head_repository": repository,
            "html_url": f"https://github.example/runs/{run.number}",
        }
        event = {"action": "completed", "workflow_run": workflow_run}
        return self.act(
            self.origin.folder, "comment", "comment", "workflow_run", event, artifacts=run.artifacts, number=run.number
        )

    def act(
        self,
        folder: Path,
        workflow: str,
        job: str | None,
        event_name: str,
        event: dict[str, Any],
        *options: str,
        sha: str = "",
        artifacts: Path | None = None,
        cache: Path | None = None,
        number: int | None = None,
    ) -> Run:
        number = number or len(self.runs) + 1
        cache = cache or self.folder / f"cache-{workflow}-{number}"
        home = self.folder / f"home-{workflow}-{number}"
        for path in (cache, home):
            path.mkdir(exist_ok=True)
        given = self.server.environment
        keys = [f"{key}={given[key]}\n" for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
        (self.folder / "credentials").write_text("".join(keys), encoding="utf-8")
        artifacts = artifacts or self.folder / f"artifacts{number}"
        roles = self.folder / f"roles-{workflow}-{number}.txt"
        full = {"repository": {"full_name": self.hub.repository, "default_branch": "main"}, **event}
        (self.folder / "event.json").write_text(json.dumps(full), encoding="utf-8")
        environment = {
            "AWS_EC2_METADATA_DISABLED": "true",
            "GITHUB_REPOSITORY": self.hub.repository,
            "GITHUB_API_URL": self.hub.url,
            "HOME": str(home),
            "OMP_NUM_THREADS": "1",
            "STAND_IN_ARTIFACTS": str(artifacts),
            "STAND_IN_CACHE": str(cache),
            "STAND_IN_CREDENTIALS": str(self.folder / "credentials"),
            "STAND_IN_ENVIRONMENT": sys.prefix,
            "STAND_IN_PROGRAMS": str(warm_programs()),
            "STAND_IN_ROLES": str(roles),
            "STAND_IN_RUN": str(number),
        }
        command = [
            str(Path(sys.executable).with_name("act")), event_name,
            "--workflows", f".github/workflows/{workflow}.yml", *(["--job", job] if job else []),
            "--eventpath", str(self.folder / "event.json"),
            "--platform", "ubuntu-latest=-self-hosted", "--no-cache-server", "--secret", "GITHUB_TOKEN=ghs_test",
            "--var", f"AWS_PULL_ROLE={PULL_ROLE}", "--var", f"AWS_PUSH_ROLE={PUSH_ROLE}",
            "--var", f"AWS_DELIVERY_ROLE={DELIVERY_ROLE}", "--var", f"CHAMPION_STORE_URL=s3://{self.server.bucket}/models",
            "--var", f"AWS_REGION={REGION}", "--var", f"AWS_ENDPOINT_URL={given['AWS_ENDPOINT_URL']}",
            *(word for key, value in environment.items() for word in ("--env", f"{key}={value}")),
            *(word for name in set(actions_used()) if not name.startswith("actions/checkout@")
              for word in ("--local-repository", f"{name}={STAND_INS / name.partition('@')[0].rpartition('/')[2]}")),
            *options,
        ]  # fmt: skip
        outside = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "GITHUB_", "PYTHON"))}
        result = subprocess.run(
            command,
            cwd=folder,
            env=outside | {"XDG_CACHE_HOME": str(self.folder / "act")},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        taken = roles.read_text(encoding="utf-8").split() if roles.exists() else []
        log = result.stdout + result.stderr
        return Run(number, result.returncode == 0, log, artifacts, taken, cache, sha)
