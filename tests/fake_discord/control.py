"""What tests tell the server and ask it: commands by name, JSON in and out."""

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tests.fake_discord.acts import Acts
from tests.fake_discord.answers import ApiError
from tests.fake_discord.ledger import Ledger
from tests.fake_discord.troubles import Troubles

if TYPE_CHECKING:
    from tests.fake_discord.server import Server


class Control:
    """A command is a public method of one of these."""

    def __init__(self, server: "Server") -> None:
        self._parts = (Acts(server.world), Ledger(server), Troubles(server))

    async def call(self, command: str, arguments: dict[str, Any]) -> tuple[int, Any]:
        """HTTP status and answer."""
        act = self._find(command)
        if act is None:
            return 404, {"error": f"no command {command!r}"}
        try:
            answer = act(**arguments)
            if inspect.isawaitable(answer):
                answer = await answer
        except (LookupError, TypeError, ValueError, ApiError) as error:
            return 400, {"error": f"{command}: {error!r}"}
        return 200, answer

    def _find(self, command: str) -> Callable[..., Any | Awaitable[Any]] | None:
        for part in self._parts:
            found: Callable[..., Any] | None = getattr(part, command, None)
            if found and not command.startswith("_"):
                return found
        return None
