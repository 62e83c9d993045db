from pathlib import Path

import pytest

from champion.core.errors import UserError
from champion.environments import FILE, load_environment, load_environments
from support.project import EXAMPLE


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / FILE).write_text((EXAMPLE / FILE).read_text())
    return tmp_path


def edit(root: Path, old: str, new: str) -> None:
    text = (root / FILE).read_text()
    assert old in text
    (root / FILE).write_text(text.replace(old, new))


def test_development_is_the_default_and_lives_in_the_repository(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENVIRONMENT", raising=False)
    environment = load_environment(root=root)
    assert environment.name == "development"
    assert environment.database_url == f"sqlite:///{root}/var/development/champion.db"
    assert environment.model_store_url == f"{root}/var/development/store"


def test_the_variable_chooses_and_a_name_given_wins(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "staging")
    assert load_environment(root=root).name == "staging"
    assert load_environment("test", root).name == "test"


def test_an_unknown_name_is_one_sentence(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"no environment 'prod'\. Choose one of development, test, staging"):
        load_environment("prod", root)
    monkeypatch.setenv("ENVIRONMENT", "Production")
    with pytest.raises(UserError, match=r"no environment 'Production' \(ENVIRONMENT names it\)"):
        load_environment(root=root)


def test_a_missing_variable_stops_only_who_needs_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAMPION_STORE_URL", "s3://bucket/models")
    monkeypatch.delenv("CHAMPION_DATABASE_URL", raising=False)
    environment = load_environment("production", root)
    assert environment.model_store_url == "s3://bucket/models/production"
    with pytest.raises(UserError, match=r"variable CHAMPION_DATABASE_URL is not set: .*`database_url` of production"):
        _ = environment.database_url


def test_a_secret_is_in_no_representation(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAMPION_DATABASE_URL", "postgresql://ada:hunter2@host/db")
    environment = load_environment("production", root)
    assert environment.database_url == "postgresql://ada:hunter2@host/db"
    assert "hunter2" not in repr(environment)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "promoted_from: s",
            "promoted_fron: s",
            "`environments.production.promoted_fron` (did you mean `promoted_from`?)",
        ),
        ("environments:\n", "more: 1\nenvironments:\n", "unknown key `more`"),
        ("promoted_from: staging", "promoted_from: stage", "there is no environment 'stage'"),
        ("row_latency_ms: 100", "row_latency_ms: -1", "row_latency_ms"),
        ("${CHAMPION_DATABASE_URL}", "postgresql://ada:hunter2@host/db", "`database_url` holds a password"),
        (
            "    flags: config/flags.json\n",
            "",
            "the keys `environments.development.flags`",
        ),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence_that_names_the_key(
    root: Path, old: str, new: str, sentence: str
) -> None:
    edit(root, old, new)
    with pytest.raises(UserError) as caught:
        load_environments(root)
    assert sentence in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_no_environment(name: str, root: Path) -> None:
    with pytest.raises(UserError, match=r"the environment has an empty name\. Choose one of development, "):
        load_environment(name, root)


def test_an_empty_variable_names_no_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "")
    assert load_environment(None, root).name == "development"


@pytest.mark.parametrize(
    "password", ["hunter2", "hunter2/x", "hunter2@x", "hunter2%40", "${A}hunter2", "12/hunter2", "hunter2 x"]
)
def test_a_password_of_any_form_is_refused_in_the_file(password: str, root: Path) -> None:
    edit(root, "${CHAMPION_DATABASE_URL}", f"postgresql://ada:{password}@host/db")
    with pytest.raises(UserError, match="`database_url` holds a password") as caught:
        load_environments(root)
    assert "hunter2" not in str(caught.value)
