"""Where settings come from, and what is said about those that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from runqy_notebook.errors import SettingsError
from runqy_notebook.settings import FIELDS, Settings, converted, resolve, seconds_of


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


def refusal(**sources: object) -> str:
    with pytest.raises(SettingsError) as caught:
        resolve(**{"environ": {}, "folder": Path("/"), **sources})  # type: ignore[arg-type]
    return str(caught.value)


def from_environment(environ: dict[str, str], folder: Path) -> Settings:
    return resolve(environ=environ, folder=folder)


# --- precedence -------------------------------------------------------------------------------


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
    text = {bool: "yes", int: "7", float: "7", str: ":", type(None): "x"}[type(default)]

    found = from_environment({f"RUNQY_{name.upper()}": text}, nowhere)

    assert getattr(found, name) == {"yes": True, "7": 7, ":": ":", "x": "x"}[text]


def test_a_variable_that_is_empty_is_not_set(nowhere: Path) -> None:
    assert from_environment({"RUNQY_CONCURRENCY": "", "REDIS_URL": ""}, nowhere) == Settings()


def test_variables_of_runqys_other_programs_are_left_alone(nowhere: Path) -> None:
    environ = {"RUNQY_API_KEY": "k", "RUNQY_SERVER_URL": "http://localhost:3000"}

    assert from_environment(environ, nowhere) == Settings()


# --- the server -------------------------------------------------------------------------------


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


# --- pyproject.toml ---------------------------------------------------------------------------


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


# --- what is refused --------------------------------------------------------------------------


def test_an_unknown_name_is_told_with_its_source_and_the_nearest_name(
    project: Callable[[str], Path],
) -> None:
    hint = "Did you mean 'concurrency'?"
    folder = project("concurency = 2")

    assert refusal(arguments={"concurency": 2}) == (
        f"There is no setting 'concurency' (an argument). {hint}"
    )
    assert f"'concurency' (%config Runqy). {hint}" in refusal(config={"concurency": 2})
    assert str(folder.parent.parent / "pyproject.toml") in refusal(folder=folder)


def test_where_no_name_is_near_all_are_listed() -> None:
    told = refusal(arguments={"colour": "red"})

    assert "The settings are url, embedded, " in told


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("concurrency", "many", "wants a whole number, not 'many'"),
        ("concurrency", 1.5, "wants a whole number, not 1.5"),
        ("concurrency", True, "wants a whole number, not True"),
        ("concurrency", float("inf"), "wants a whole number, not inf"),
        ("concurrency", 0, "must be at least 1, not 0"),
        ("concurrency", 10**6, "must be at most 1000, not 1000000"),
        ("max_retry", -1, "must be at least 0, not -1"),
        ("timeout", "soon", "wants a number of seconds, not 'soon'"),
        ("timeout", "nan", "wants a number of seconds, not 'nan'"),
        ("timeout", 0, "must be at least 0.001, not 0"),
        ("completed_ttl", 1e300, "must be at most 999999999, not 1e+300"),
        ("lease", True, "wants a number of seconds, not True"),
        ("lease", None, "wants a number of seconds, not None"),
        ("store_results", "perhaps", "wants true or false, not 'perhaps'"),
        ("store_results", 2, "wants true or false, not 2"),
        ("queue", 5, "wants text, not 5"),
        ("separator", "/", "is one of _ : . and not '/'"),
    ],
)
def test_an_unusable_value_is_told_with_what_is_wanted(name: str, value: object, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        converted(name, value, "an argument")

    assert str(caught.value) == f"The setting {name} {told} (an argument)."


def test_an_unusable_value_is_told_with_its_variable() -> None:
    told = refusal(environ={"RUNQY_CONCURRENCY": "many"})

    assert told.endswith("not 'many' (RUNQY_CONCURRENCY in the environment).")


def test_a_url_of_the_wrong_type_is_not_shown() -> None:
    told = refusal(arguments={"url": b"redis://:secret@host"})

    assert told == "The setting url wants text, not a bytes (an argument)."


def test_settings_can_be_shown_without_the_password() -> None:
    shown = repr(Settings(url="redis://:secret@host", concurrency=4))

    assert "secret" not in shown
    assert "concurrency=4" in shown


# --- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [True, 1, "1", "true", "YES", " on "])
def test_words_for_yes_are_understood(value: object) -> None:
    assert converted("store_results", value, "a test") is True


@pytest.mark.parametrize("value", [False, 0, "0", "false", "No", "off"])
def test_words_for_no_are_understood(value: object) -> None:
    assert converted("store_results", value, "a test") is False


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        (90, 90.0),
        (0.25, 0.25),
        ("90", 90.0),
        ("90s", 90.0),
        (" 500ms ", 0.5),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("2d", 172_800.0),
        ("1w", 604_800.0),
        (timedelta(minutes=2), 120.0),
    ],
)
def test_durations_may_be_numbers_timedeltas_or_text_as_go_writes_it(
    duration: object, seconds: float
) -> None:
    assert seconds_of(duration) == seconds


@pytest.mark.parametrize("duration", ["", "1m30", "-3s", "1 m", "s", "1y", "nan", None, True, b"5"])
def test_what_is_no_duration_is_refused(duration: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        seconds_of(duration)


def test_the_environment_of_a_runqy_worker_is_understood(nowhere: Path) -> None:
    environ = {"RUNQY_SHUTDOWN_TIMEOUT": "30s", "RUNQY_CONCURRENCY": "2", "RUNQY_MAX_RETRY": "25"}

    found = from_environment(environ, nowhere)

    assert (found.shutdown_timeout, found.concurrency, found.max_retry) == (30.0, 2, 25)
