"""What values settings take, and what is said about those that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from runqy_notebook.errors import SettingsError
from runqy_notebook.settings import Settings, converted, resolve, seconds_of


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


# --- what is refused ------------------------------------------------------------------------------


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


# --- values ---------------------------------------------------------------------------------------


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
