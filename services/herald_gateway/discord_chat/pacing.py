"""When a call of Discord's REST may be made: what the answers said about rate limits."""

import asyncio
import time
from collections.abc import Mapping

_MOST_ROUTES = 512
_WITHOUT_A_WORD = 4.0
"""Seconds to wait after a refusal that does not say how long; such ones come from what stands before Discord."""


class Pacing:
    """The moment from which each route is free, and the one for all."""

    def __init__(self) -> None:
        self._routes: dict[str, float] = {}
        self._all = 0.0

    def delay(self, route: str) -> float:
        """Seconds until the route is free; 0 when it is."""
        return max(0.0, self._all - time.monotonic(), self._routes.get(route, 0.0) - time.monotonic())

    async def free(self, route: str) -> None:
        """Wait until the route is free."""
        while (seconds := self.delay(route)) > 0:  # noqa: ASYNC110 - the moment may move meanwhile
            await asyncio.sleep(seconds)

    def note(self, route: str, headers: Mapping[str, str]) -> None:
        """An answer that was no refusal: whether it was the last one for now."""
        if headers.get("X-RateLimit-Remaining") == "0":
            self._close(route, _number(headers.get("X-RateLimit-Reset-After"), 1.0))

    def refused(self, route: str, headers: Mapping[str, str], body: object) -> float:
        """An answer 429; returns the seconds to wait."""
        said = body.get("retry_after") if isinstance(body, dict) else None
        seconds = _number(said if said is not None else headers.get("Retry-After"), _WITHOUT_A_WORD)
        everywhere = isinstance(body, dict) and body.get("global") is True
        if everywhere or not isinstance(body, dict):
            self._all = max(self._all, time.monotonic() + seconds)
        else:
            self._close(route, seconds)
        return seconds

    def _close(self, route: str, seconds: float) -> None:
        moment = time.monotonic()
        if len(self._routes) >= _MOST_ROUTES:
            self._routes = {each: until for each, until in self._routes.items() if until > moment}
        self._routes[route] = max(self._routes.get(route, 0.0), moment + seconds)


def _number(said: object, otherwise: float) -> float:
    try:
        return max(0.0, float(str(said)))
    except ValueError:
        return otherwise
