"""One attempt at a call of Discord's REST, its failures sorted by what may have been done.

`Unavailable`: the call was not done. `Ambiguous`: it was sent and perhaps done. `Refused`: Discord answered
that it will not, and will say so again until somebody changes something.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import discord

from herald.errors import Unavailable

DEADLINE = 15.0
T = TypeVar("T")


_CLOSED = "Session is closed"
"""What aiohttp says when the client was given up before the call began."""

_cut_short = 0


def cut_short() -> int:
    """How many calls were ended by their deadline so far."""
    return _cut_short


class Ambiguous(Exception):
    """The call was sent and perhaps done: connection lost, no answer in time, 5xx."""


class Refused(Exception):
    """Discord refuses: the same call is refused again until somebody changes something."""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(f"{status} (code {code}): {text}")
        self.status = status
        self.code = code
        self.text = text


async def attempt(call: Callable[[], Awaitable[T]], deadline: float = DEADLINE) -> T:
    """One call with a deadline. discord.py repeats some calls by itself: of those, this sorts the last failure."""
    try:
        async with asyncio.timeout(deadline):
            return await call()
    except discord.RateLimited as error:
        raise Unavailable(f"Discord asks to wait {error.retry_after:.0f} s (rate limit)") from error
    except discord.DiscordServerError as error:
        raise Ambiguous(f"Discord answers {error.status}") from error
    except discord.HTTPException as error:
        if error.status == 429:
            raise Unavailable("Discord asks to wait (rate limit)") from error
        raise Refused(error.status, error.code, error.text) from error
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise Unavailable(f"no connection to Discord: {error}") from error
    except TimeoutError as error:
        global _cut_short
        _cut_short += 1
        raise Ambiguous(f"Discord did not answer within {deadline:.0f} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise Ambiguous(f"the connection to Discord broke off: {error or type(error).__name__}") from error
    except RuntimeError as error:
        if str(error) != _CLOSED:
            raise
        raise Unavailable("the connection to Discord is being made anew") from error
