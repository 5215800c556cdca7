"""Which cron lines are accepted: five fields or an @name, and only lines that fall due some day.

croniter also takes six and seven fields, random and hashed ones, and lines that never fall due.
"""

import re
from datetime import UTC, datetime

NAMES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")

_VALUE = r"(?:[0-9]{1,2}|[a-z]{3})"
_ITEM = rf"(?:\*|{_VALUE}(?:-{_VALUE})?)(?:/[0-9]{{1,2}})?"
_FIELD = re.compile(rf"{_ITEM}(?:,{_ITEM})*", re.IGNORECASE)
_FIELD_NAMES = ("minute", "hour", "day of month", "month", "day of week")
_ANY_DAY = datetime(2026, 1, 1, tzinfo=UTC)
"""Fixed, so that a line is not right today and wrong tomorrow."""


def check(line: str) -> str:
    """The line with single blanks. Raises ValueError that says which field is wrong."""
    fields = line.split()
    if len(fields) == 1 and fields[0].startswith("@"):
        if fields[0].lower() not in NAMES:
            raise ValueError(f"knows no {fields[0]!r}; the names are {', '.join(NAMES)}")
        return fields[0].lower()
    if len(fields) != len(_FIELD_NAMES):
        raise ValueError(
            f"has {len(fields)} fields; it needs five: minute, hour, day of month, month, day of week (0 8 * * 1)"
        )
    for field, name in zip(fields, _FIELD_NAMES, strict=True):
        if not _FIELD.fullmatch(field):
            raise ValueError(f"{field!r} is no {name}; use numbers, names, `*`, `a-b`, `*/n` and commas")
    normal = " ".join(fields)
    _find_due(normal)
    return normal


def _find_due(line: str) -> None:
    # imported here because most projects have no schedule
    from croniter import CroniterBadDateError, CroniterError, croniter  # type: ignore[import-untyped]

    try:
        croniter(line, _ANY_DAY).get_next(datetime)
    except CroniterBadDateError as error:
        raise ValueError(f"{line!r} never falls due; there is no such date") from error
    except (CroniterError, ValueError) as error:
        raise ValueError(f"{line!r} holds a number or name out of range ({error})") from error
