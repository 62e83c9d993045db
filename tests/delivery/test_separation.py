"""Staging and production with rights of their own, as docs/delivery.md grants them, on PostgreSQL and on S3."""

import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import s3fs
import sqlalchemy as sa

from champion.core.errors import UserError
from champion.delivery import deployment, proof
from champion.delivery.challenge import challenge
from champion.delivery.register import register
from champion.delivery.retire import retire
from champion.registry import history
from champion.registry.served import POINTER
from champion.repository.local_s3 import LocalServer
from support.delivery import DeliveryProject
from support.project import REPOSITORY
from support.s3 import running_server

# Each test has a bucket of its own, and the policies are for all of them.
BUCKETS = "models-*"
PAGE = (REPOSITORY / "docs/delivery.md").read_text(encoding="utf-8")
PLACES = {"YOUR-BUCKET": BUCKETS, "OWNER/REPO": "o/r"}


def blocks(language: str) -> list[str]:
    """The code in this language on the page, in its order."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    return [re.sub("|".join(PLACES), lambda place: PLACES[place[0]], text) for text in found]


def policies() -> dict[str, dict[str, Any]]:
    """The policies of the two roles: the first of the page is staging's."""
    granting = [one for one in map(json.loads, blocks("json")) if "Resource" in one["Statement"][0]]
    return dict(zip(("staging", "production"), granting, strict=True))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A server that knows an owner, who may do anything, and the two roles of the page."""
    folder = tmp_path_factory.mktemp("s3")
    owner = {"name": "champion", "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    roles = [{"name": role, "policyNames": [role]} for role in policies()]
    keys = {role: {"accessKey": secrets.token_hex(10), "secretKey": secrets.token_hex(20)} for role in policies()}
    keys["champion"] = {"accessKey": secrets.token_hex(10), "secretKey": secrets.token_hex(20)}
    identities = {
        "identities": [one | {"credentials": [keys[str(one["name"])]]} for one in (owner, *roles)],
        "policies": [{"name": role, "content": json.dumps(policy)} for role, policy in policies().items()],
    }
    (folder / "identities.json").write_text(json.dumps(identities), encoding="utf-8")
    with running_server(folder, "first") as running:
        yield running


@dataclass(frozen=True)
class Separated:
    """A project, and who acts on its database and on its bucket: `owner`, `staging` or `production`."""

    project: DeliveryProject
    act_as: Callable[..., None]


@pytest.fixture
def separated(
    delivery_project: DeliveryProject,
    server: LocalServer,
    postgresql_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Separated:
    """Version v1 is registered by the owner, who then granted what the page says."""
    identities = json.loads((server.folder / "identities.json").read_text(encoding="utf-8"))["identities"]
    keys = {one["name"].replace("champion", "owner"): one["credentials"][0] for one in identities}
    suffix, bucket_name = secrets.token_hex(8), f"models-{secrets.token_hex(8)}"

    def act_as(database: str, bucket: str | None = None) -> None:
        given = keys[bucket or database]
        url = sa.make_url(postgresql_url)
        if database != "owner":
            url = url.set(username=f"champion_{database}_{suffix}")
        for name, value in {
            "AWS_ACCESS_KEY_ID": given["accessKey"],
            "AWS_SECRET_ACCESS_KEY": given["secretKey"],
            "AWS_ENDPOINT_URL": server.environment["AWS_ENDPOINT_URL"],
            "AWS_DEFAULT_REGION": "us-east-1",
            "CHAMPION_DATABASE_URL": url.render_as_string(hide_password=False),
            "CHAMPION_STORE_URL": f"s3://{bucket_name}/models",
        }.items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()

    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    act_as("owner")
    s3fs.S3FileSystem().mkdir(bucket_name)
    delivery_project.use_result("weak")
    register(delivery_project.staging)
    [grants] = blocks("sql")
    with sa.create_engine(postgresql_url, poolclass=sa.NullPool).begin() as connection:
        database = connection.exec_driver_sql("SELECT current_database()").scalar_one()
        for role in policies():
            grants = re.sub(rf"\bchampion_{role}\b", f"champion_{role}_{suffix}", grants)
        for statement in grants.replace("DATABASE champion ", f'DATABASE "{database}" ').split(";"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    return Separated(delivery_project, act_as)


def deliver_to_staging(project: DeliveryProject) -> None:
    challenge(project.staging)
    deployment.deploy(project.staging, "v1")
    assert proof.smoke_test(project.staging)[1].passed


def test_each_environment_is_delivered_with_its_own_rights(separated: Separated) -> None:
    project = separated.project
    separated.act_as("staging")
    deliver_to_staging(project)
    project.use_result("strong")
    assert register(project.staging)[0].name == "v2", "a training registers as staging"
    separated.act_as("production")
    assert deployment.promote(project.production, "v1").changed
    assert proof.smoke_test(project.production)[1].passed
    assert project.production.ledger.breaks() == []


@pytest.mark.parametrize(("database", "bucket"), [("staging", "staging"), ("staging", "owner"), ("owner", "staging")])
def test_the_rights_of_staging_change_nothing_in_production(
    database: str, bucket: str, separated: Separated, server: LocalServer
) -> None:
    project = separated.project
    separated.act_as("staging")
    deliver_to_staging(project)
    separated.act_as(database, bucket)
    for attempt in (
        lambda: deployment.promote(project.production, "v1"),
        lambda: deployment.promote(project.production, "v1", emergency=True, reason="an attack"),
    ):
        with pytest.raises(UserError, match=r"lacks a permission|cannot be used"):
            attempt()
    separated.act_as("owner")
    assert history.live(project.production.rows, "production") is None
    assert project.production.store.read(POINTER) is None
    assert project.production.ledger.breaks() == []


@pytest.mark.parametrize(
    ("database", "bucket"), [("production", "production"), ("production", "owner"), ("owner", "production")]
)
def test_the_rights_of_production_change_nothing_in_staging(
    database: str, bucket: str, separated: Separated, server: LocalServer
) -> None:
    project = separated.project
    separated.act_as(database, bucket)
    with pytest.raises(UserError, match=r"lacks a permission|cannot be used"):
        deployment.deploy(project.staging, "v1")
    separated.act_as("owner")
    assert history.live(project.staging.rows, "staging") is None
    assert project.staging.store.read(POINTER) is None


def test_only_staging_crowns_and_only_production_clears(separated: Separated) -> None:
    project = separated.project
    separated.act_as("production")
    with pytest.raises(UserError, match="lacks a permission"):
        challenge(project.staging)
    separated.act_as("staging")
    assert challenge(project.staging).won
    with pytest.raises(UserError, match="lacks a permission"):
        retire(project.staging, "v1", "an attack")
    separated.act_as("production")
    assert retire(project.production, "v1", "its data was wrong").action == "retire"


def test_a_role_of_aws_is_trusted_for_its_environment_and_for_main_alone() -> None:
    trusts = [one for one in map(json.loads, blocks("json")) if "Principal" in one["Statement"][0]]
    [[statement]] = [trust["Statement"] for trust in trusts]
    name = "token.actions.githubusercontent.com"
    assert statement["Condition"] == {
        "StringEquals": {
            f"{name}:aud": "sts.amazonaws.com",
            f"{name}:sub": "repo:o/r:environment:staging",
            f"{name}:ref": "refs/heads/main",
        }
    }
