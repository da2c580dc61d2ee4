import pytest
from hypothesis import given
from hypothesis import strategies as st

from runqy_notebook.deliver.schedule import Schedule
from runqy_notebook.errors import SettingsError
from runqy_notebook.settings import Settings, resolve

DEFAULT = Settings().deliver_schedule


def test_the_ten_attempts_of_the_default_take_a_little_over_three_days() -> None:
    schedule = Schedule.of(DEFAULT)

    waits = [schedule.wait(made, share=0.0) for made in range(10)]

    assert waits == [0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert schedule.wait(10) is None


@given(made=st.integers(0, 9))
def test_a_wait_is_never_more_than_a_tenth_off(made: int) -> None:
    schedule = Schedule.of(DEFAULT)
    exact = schedule.wait(made, share=0.0)

    wait = schedule.wait(made)

    assert exact is not None
    assert wait is not None
    assert 0.9 * exact <= wait <= 1.1 * exact


@pytest.mark.parametrize("text", ["", " ", "soon", "5s,5s", "-1s", "nan", "inf", "1s " * 101])
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        Schedule.of(text)
    with pytest.raises(SettingsError):
        resolve({"deliver_schedule": text}, environ={})
