"""Where settings come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runqy_notebook.settings import FIELDS, Settings, resolve


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str], Path]:
    """A folder below a pyproject.toml with these lines in our table."""

    def write(lines: str) -> Path:
        (tmp_path / "pyproject.toml").write_text(f"[tool.runqy-notebook]\n{lines}\n")
        below = tmp_path / "notebooks" / "deep"
        below.mkdir(parents=True, exist_ok=True)
        return below

    return write


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """A folder with an empty pyproject.toml, so that nobody looks further up."""
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


def from_environment(environ: dict[str, str], folder: Path) -> Settings:
    return resolve(environ=environ, folder=folder)


# --- precedence -----------------------------------------------------------------------------------


def test_without_any_source_the_defaults_are_in_force(nowhere: Path) -> None:
    assert resolve(environ={}, folder=nowhere) == Settings()


def test_a_nearer_source_goes_before_a_farther_one(project: Callable[[str], Path]) -> None:
    folder = project("concurrency = 2")
    environ = {"RUNQY_CONCURRENCY": "3"}
    config = {"concurrency": 4}
    arguments = {"concurrency": 5}

    assert resolve(environ={}, folder=folder).concurrency == 2
    assert resolve(environ=environ, folder=folder).concurrency == 3
    assert resolve(None, config, environ, folder).concurrency == 4
    assert resolve(arguments, config, environ, folder).concurrency == 5


def test_each_setting_is_taken_from_the_nearest_source_that_has_it(
    project: Callable[[str], Path],
) -> None:
    folder = project("lease = 20\ntimeout = 60")

    found = resolve({"max_retry": 1}, {"timeout": 90}, {"RUNQY_QUEUE": "mail"}, folder)

    assert (found.max_retry, found.timeout, found.queue, found.lease) == (1, 90.0, "mail", 20.0)


def test_an_argument_of_none_is_no_argument(nowhere: Path) -> None:
    found = resolve({"url": None, "concurrency": None}, None, {"RUNQY_CONCURRENCY": "3"}, nowhere)

    assert found.concurrency == 3
    assert found.url is None


@pytest.mark.parametrize("name", sorted(set(FIELDS) - {"url"}))
def test_every_setting_can_come_from_the_environment(name: str, nowhere: Path) -> None:
    default = getattr(Settings(), name)
    of_type = {bool: "yes", int: "7", float: "7", type(None): "x"}
    own = {
        "separator": ":",
        "executor": "process",
        "deliver_schedule": "7s",
        "webhook_secret": "k" * 32,
    }
    text = own.get(name) or of_type[type(default)]

    found = from_environment({f"RUNQY_{name.upper()}": text}, nowhere)

    assert getattr(found, name) == {"yes": True, "7": 7}.get(text, text)


def test_a_variable_that_is_empty_is_not_set(nowhere: Path) -> None:
    assert from_environment({"RUNQY_CONCURRENCY": "", "REDIS_URL": ""}, nowhere) == Settings()


def test_variables_of_runqys_other_programs_are_left_alone(nowhere: Path) -> None:
    environ = {"RUNQY_API_KEY": "k", "RUNQY_SERVER_URL": "http://localhost:3000"}

    assert from_environment(environ, nowhere) == Settings()


# --- the server -----------------------------------------------------------------------------------


def test_the_most_specific_variable_names_the_server(nowhere: Path) -> None:
    environ = {"REDIS_HOST": "a", "REDIS_URL": "redis://b", "RUNQY_REDIS_URL": "redis://c"}

    assert from_environment(environ, nowhere).url == "redis://c"
    del environ["RUNQY_REDIS_URL"]
    assert from_environment(environ, nowhere).url == "redis://b"
    del environ["REDIS_URL"]
    assert from_environment(environ, nowhere).url == "redis://a:6379/0"


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"REDIS_HOST": "r", "REDIS_PORT": "7000"}, "redis://r:7000/0"),
        ({"REDIS_HOST": "r:7001"}, "redis://r:7001/0"),
        ({"REDIS_HOST": "r:7001", "REDIS_PORT": "7000"}, "redis://r:7000/0"),
        ({"REDIS_HOST": "r", "REDIS_TLS": "true"}, "rediss://r:6379/0"),
        ({"REDIS_HOST": "r", "REDIS_TLS": "0"}, "redis://r:6379/0"),
        ({"REDIS_HOST": "r", "REDIS_PASSWORD": "p@ss/w:rd"}, "redis://:p%40ss%2Fw%3Ard@r:6379/0"),
        ({"REDIS_HOST": "::1"}, "redis://[::1]:6379/0"),
        ({"REDIS_HOST": "[::1]", "REDIS_PORT": "7000"}, "redis://[::1]:7000/0"),
        ({"REDIS_HOST": "r", "REDIS_PORT": "tcp://10.0.0.11:6380"}, "redis://r:6380/0"),
    ],
)
def test_the_variables_of_runqys_server_make_a_url(
    environ: dict[str, str], url: str, nowhere: Path
) -> None:
    assert from_environment(environ, nowhere).url == url


def test_a_port_or_password_alone_names_no_server(nowhere: Path) -> None:
    environ = {"REDIS_PORT": "7000", "REDIS_PASSWORD": "x", "REDIS_TLS": "1"}

    assert from_environment(environ, nowhere).url is None


def test_a_server_named_nearer_goes_before_the_embedded_one_asked_for_farther_away(
    nowhere: Path,
) -> None:
    found = resolve({"url": "redis://a"}, None, {"RUNQY_EMBEDDED": "1"}, nowhere)

    assert not found.embedded


def test_the_embedded_server_asked_for_nearer_goes_before_a_url_farther_away(
    nowhere: Path,
) -> None:
    found = resolve({"embedded": True}, None, {"REDIS_URL": "redis://a"}, nowhere)

    assert found.embedded


# --- pyproject.toml -------------------------------------------------------------------------------


def test_only_the_nearest_project_file_counts(project: Callable[[str], Path]) -> None:
    folder = project("concurrency = 2")
    (folder / "pyproject.toml").write_text("[project]\nname = 'inner'\n")

    assert resolve(environ={}, folder=folder).concurrency == 1


def test_a_project_file_may_write_names_with_hyphens(project: Callable[[str], Path]) -> None:
    folder = project("store-results = true\nretry-delay = '2m'")

    found = resolve(environ={}, folder=folder)

    assert found.store_results
    assert found.retry_delay == 120.0


def test_paths_in_a_project_file_are_relative_to_it(project: Callable[[str], Path]) -> None:
    folder = project("config-file = 'worker/config.yml'\nstate-dir = '/var/state'")

    found = resolve(environ={}, folder=folder)

    assert found.config_file == str(folder.parent.parent / "worker" / "config.yml")
    assert found.state_dir == str(Path("/var/state"))


@pytest.mark.parametrize(
    "content",
    [b"", b"this is no TOML [", b"\xff\xfe", b"tool = 5", b"[tool]\nrunqy-notebook = 5"],
)
def test_a_project_file_without_our_table_says_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(content)

    assert resolve(environ={}, folder=tmp_path) == Settings()


def test_a_working_directory_that_was_deleted_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert resolve(environ={}) == Settings()
