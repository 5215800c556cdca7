"""Errors that cross the bus.

Each class has a stable wire code, the last part of its Varlink error name (`io.herald.Worker.NotFound`), and
an exit code for the command line. The message says what is wrong and what to do next; it is shown to people
as it is.
"""


class HeraldError(Exception):
    """Something that a person is told: the message names the cause and the next step."""

    code = "Failed"
    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Invalid(HeraldError):
    """The request itself is wrong; the same request will fail again."""

    code = "Invalid"
    exit_code = 2


class NotFound(HeraldError):
    """What the request names does not exist."""

    code = "NotFound"
    exit_code = 2


class Denied(HeraldError):
    """The caller may not do this."""

    code = "Denied"
    exit_code = 3


class Busy(HeraldError):
    """All places are taken; the same request may succeed later."""

    code = "Busy"
    exit_code = 4


class Conflict(HeraldError):
    """The state of things does not allow it: a moved branch, an unclean workspace, a closed proposal."""

    code = "Conflict"
    exit_code = 5


class Unavailable(HeraldError):
    """A part that is needed does not answer within the deadline, or its disk or database refuses."""

    code = "Unavailable"
    exit_code = 6


class Failed(HeraldError):
    """The act was tried and failed for the reason given."""


CLASSES: dict[str, type[HeraldError]] = {
    error.code: error for error in (Invalid, NotFound, Denied, Busy, Conflict, Unavailable, Failed)
}
"""Wire code to class: the closed list of errors that any Herald interface may answer."""


def of_code(code: str, message: str) -> HeraldError:
    """The error for a wire code; an unknown code becomes `Failed` with the code in its message."""
    known = CLASSES.get(code)
    return known(message) if known else Failed(f"{code}: {message}")
