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


class Setting(TypedDict):
    """One key of a project file: `key` is a dotted path (`git.remote`), `value` is JSON as text; `null` removes it."""

    key: str
    value: str


class Config(Interface, interface="io.herald.Config"):
    """The compiler of the configuration."""

    async def Check(self) -> Compiled:
        """Validate without writing anything."""
        raise NotImplementedError

    async def Reload(self) -> Compiled:
        """Validate and, if nothing is wrong, put the new snapshot in force."""
        raise NotImplementedError

    async def AddProject(self, *, name: str, settings: list[Setting]) -> Compiled:
        """Write projects/NAME.yaml and put it in force. Validated first; nothing is written when a problem is found.

        Conflict when there is a project of that name: `SetProject` changes it.
        """
        raise NotImplementedError

    async def SetProject(self, *, name: str, settings: list[Setting]) -> Compiled:
        """Change keys of a project's file and put it in force; every other byte of it stays as it is.

        Validated first; nothing is written when a problem is found. Conflict when the file was changed meanwhile.
        """
        raise NotImplementedError
