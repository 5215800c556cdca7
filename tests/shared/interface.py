"""An interface for trying the bus. It takes the worker's name, because names say which services stay."""

from collections.abc import AsyncIterator
from typing import Literal, TypedDict

from asyncvarlink import FileDescriptor

from herald.interfaces.interface import Interface


class Item(TypedDict):
    """One thing in a list."""

    name: str
    number: int


class Echo(TypedDict):
    """What was given."""

    text: str
    number: int
    colour: Literal["red", "blue"]
    maybe: str | None
    items: list[Item]


class Count(TypedDict):
    """How often something was done."""

    times: int


class Tick(TypedDict):
    """One of many."""

    number: int


class Who(TypedDict):
    """The caller, as the service sees it."""

    kind: str
    name: str
    uid: int
    speaks_for_others: bool


class Health(TypedDict):
    """What must not grow."""

    tasks: int
    connections: int


class Content(TypedDict):
    """What a descriptor holds."""

    text: str


class Trial(Interface, interface="io.herald.Worker"):
    """For trying."""

    async def Echo(
        self,
        *,
        text: str,
        number: int = 7,
        colour: Literal["red", "blue"] = "red",
        maybe: str | None = None,
        items: list[Item] | None = None,
    ) -> Echo:
        """Answer what was given."""
        raise NotImplementedError

    async def ListItems(self, *, count: int) -> list[Item]:
        """Many things."""
        raise NotImplementedError

    async def Raise(self, *, code: str) -> Count:
        """Fail in a known way, or with the code `bug` in an unknown one."""
        raise NotImplementedError

    async def Add(self, *, key: str = "", name: str, die: int = 0, wait: float = 0.0) -> Count:
        """Count durably how often this was carried out; die after it for the first so many times, or answer late."""
        raise NotImplementedError

    async def GetAdded(self, *, name: str, die: int = 0) -> Count:
        """How often, after dying so many times."""
        raise NotImplementedError

    async def Hang(self) -> None:
        """Never answer."""
        raise NotImplementedError

    async def Read(self, *, file: FileDescriptor, padding: str = "") -> Content:
        """Read a file that was passed."""
        raise NotImplementedError

    async def GetCaller(self) -> Who:
        """Who calls."""
        raise NotImplementedError

    async def GetHealth(self) -> Health:
        """What must not grow."""
        raise NotImplementedError

    async def Append(self, *, key: str) -> Count:
        """Append an event, as one of many; answered when it is on disk. The same key twice is one event."""
        raise NotImplementedError

    async def Watch(self, *, since: int) -> AsyncIterator[Tick]:
        """The events, by number."""
        raise NotImplementedError
        yield

    async def Count(self, *, to: int, fail: bool = False) -> AsyncIterator[Tick]:
        """Count up to a number, at once, then fail or be silent for ever."""
        raise NotImplementedError
        yield
