"""What a test lets go wrong."""

import dataclasses
from typing import TYPE_CHECKING, Any

from tests.fake_discord.faults import Fault
from tests.fake_discord.routes import interactions

if TYPE_CHECKING:
    from tests.fake_discord.server import Server


class Troubles:
    """Commands that break things, and those that mend them."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._gateway = server.gateway
        self._faults = server.faults

    def reset(self) -> None:
        self._server.reset()

    def fault(self, **what: Any) -> None:
        """Add a fault; see Fault."""
        self._faults.add(Fault(**what))

    def seed(self, seed: int) -> None:
        """For faults with a chance."""
        self._faults.seed(seed)

    def clear_faults(self) -> None:
        self._faults.clear()

    def release_requests(self) -> None:
        self._faults.release()

    def limit(self, method: str, template: str, count: int, seconds: float) -> None:
        self._faults.limit(method, template, count, seconds)

    def limit_everything(self, count: int, seconds: float) -> None:
        self._faults.limit_everything(count, seconds)

    def settings(self, **what: Any) -> None:
        """Change how the gateway behaves; see Settings."""
        self._gateway.settings = dataclasses.replace(self._gateway.settings, **what)

    def control(self, operation: int, data: Any = None) -> None:
        self._gateway.control(operation, data)

    def raw(self, text: str) -> None:
        self._gateway.raw(text)

    def dispatch(self, kind: str, data: Any) -> None:
        self._gateway.dispatch(kind, data)

    async def close(self, code: int) -> None:
        await self._gateway.close(code)

    def abort(self) -> None:
        self._gateway.abort()

    def abort_everything(self) -> None:
        self._server.abort()

    def forget_sessions(self) -> None:
        self._gateway.sessions.clear()

    def hide(self, types: list[str]) -> None:
        self._gateway.events.hide(set(types))

    def duplicate(self, kind: str, times: int) -> None:
        self._gateway.events.duplicate(kind, times)

    def hold(self, types: list[str]) -> None:
        self._gateway.events.hold(set(types))

    def release(self, order: str | list[int] = "straight") -> int:
        return self._gateway.events.release(order)

    def chance(self, doubled: float, hidden: float, seed: int) -> None:
        self._gateway.events.chance(doubled, hidden, seed)

    async def revoke(self) -> None:
        """The token is no longer good: 401 everywhere, the gateway closes with 4004."""
        self._server.world.token = ""
        self._gateway.sessions.clear()
        await self._gateway.close(4004)

    def token(self, token: str) -> None:
        """The token that is good from now on."""
        self._server.world.token = token

    def freeze(self) -> None:
        """Take connections and requests, answer nothing, until `thaw`."""
        self._server.gate.clear()

    def thaw(self) -> None:
        self._server.gate.set()

    async def cut(self) -> None:
        """Reset all connections and refuse new ones, until `heal`."""
        await self._server.refuse()
        self._server.abort()

    async def heal(self) -> None:
        await self._server.listen()

    def expire_interactions(self) -> None:
        """As if 15 minutes had passed for all interactions there are."""
        for each in self._server.world.interactions.values():
            each.born -= interactions.TOKEN_SECONDS
