"""The reactions to vote with, put under each new card by the bot, also after a restart."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from herald import journal
from herald.database import Database
from herald.errors import Unavailable
from herald_gateway import deliveries
from herald_gateway.deliveries import Sent
from herald_gateway.discord_chat.rest import Ambiguous, Refused
from herald_gateway.discord_chat.sending import Wire, pause
from herald_gateway.lanes import insist

_VOTES = ("\U0001f44d", "\U0001f44e")
_PAUSE = 2.0
_LOOK_WITHIN = 30.0


class Marking:
    """Puts them there."""

    def __init__(
        self, database: Database, wire: Wire, carded: Callable[[str, str], Awaitable[None]] | None = None
    ) -> None:
        """`carded` hears of each card (channel, message) once it is known where it is."""
        self._database = database
        self._wire = wire
        self._carded = carded
        self._bell = asyncio.Event()

    def wake(self) -> None:
        """There is a new card, or the connection is back."""
        self._bell.set()

    async def run(self) -> None:
        """Look for cards without, for ever."""
        while True:
            self._bell.clear()
            for card in await insist(lambda: self._database.read(deliveries.unmarked)):
                await self._mark(card)
            await self._bell.wait()

    async def _mark(self, card: Sent) -> None:
        try:
            for emoji in _VOTES:
                await self._wire.react(card.channel, card.message, emoji)
        except (Unavailable, Ambiguous):
            await pause(_PAUSE, self._bell)
            self._bell.set()
            return
        except Refused as refusal:
            journal.warning(f"no reactions to vote with under card {card.message}: {refusal}; the buttons work")
        await insist(lambda: self._database.write(partial(deliveries.mark, key=card.key)))
        if self._carded is not None:
            try:
                async with asyncio.timeout(_LOOK_WITHIN):
                    await self._carded(card.channel, card.message)
            except (Unavailable, Ambiguous, Refused, TimeoutError) as error:
                journal.debug(f"card {card.message} is looked at when the connection is back: {error}")
