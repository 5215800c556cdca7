"""Cron lines: five fields or an @name, and only those that fall due some day."""

import pytest

from herald_config import cron


@pytest.mark.parametrize(
    "line",
    ["0 8 * * *", "*/15 * * * *", "0 9 * * 1", "0 9 * * MON-FRI", "0 0 29 2 *", "0 0 31 2 1", "5,35 8-18/2 1 jan,jul 0",
     "0 0 * * 7", "@hourly", "@Daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"],
)  # fmt: skip
def test_a_line_that_falls_due_is_accepted(line: str) -> None:
    assert cron.check(f"  {line} ")


@pytest.mark.parametrize(
    "line",
    ["", "0 8 * *", "0 8 * * * *", "0 8 * * * * 2026", "0 8 31 2 *", "0 8 30 2 *", "0 0 31 4,6,9,11 *", "61 * * * *",
     "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "R * * * *", "H * * * *", "0 0 L * *",
     "0 0 * * 1#2", "@reboot", "@fortnightly", "every day", "0 8 * * FOO", "-1 * * * *", "1,,2 * * * *"],
)  # fmt: skip
def test_any_other_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        cron.check(line)
