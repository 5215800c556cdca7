"""io.herald.Config: validates /etc/herald and compiles the snapshot. One instance serves one connection."""

from typing import TypedDict

from herald.interfaces.interface import Interface


class Problem(TypedDict):
    """One thing that is wrong: `line` counts from 1 (0: the file as a whole), `field` is a dotted path."""

    file: str
    line: int
    field: str
    message: str


class Compiled(TypedDict):
    """`applied`: the files are in force as generation `generation`; else the snapshot before stays in force.

    `notices` are things worth knowing that are no errors, for example keys that are not yet in effect."""

    applied: bool
    changed: bool
    generation: int
    problems: list[Problem]
    notices: list[str]


class Config(Interface, interface="io.herald.Config"):
    """The compiler of the configuration."""

    async def Check(self) -> Compiled:
        """Validate without writing anything."""
        raise NotImplementedError

    async def Reload(self) -> Compiled:
        """Validate and, if nothing is wrong, put the new snapshot in force."""
        raise NotImplementedError
