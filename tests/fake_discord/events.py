"""The way of events to the gateway: straight, or hidden, doubled, held back and let go in another order."""

import random
from collections.abc import Callable

from tests.fake_discord.world import Event


class Events:
    """What happens between the world and the sessions."""

    def __init__(self, give: Callable[[Event], None]) -> None:
        self._give = give
        self._hidden: set[str] = set()
        self._twice: list[str] = []
        self._held: list[Event] | None = None
        self._holds: set[str] = set()
        self._chance = (0.0, 0.0, random.Random(0))

    def emit(self, event: Event) -> None:
        if event.type in self._hidden:
            return
        if self._held is not None and (not self._holds or event.type in self._holds):
            self._held.append(event)
            return
        doubled, hidden, dice = self._chance
        message = event.type.startswith("MESSAGE_")
        if message and hidden and dice.random() < hidden:
            return
        self._give(event)
        if event.type in self._twice:
            self._twice.remove(event.type)
            self._give(event)
        elif message and doubled and dice.random() < doubled:
            self._give(event)

    def hide(self, types: set[str]) -> None:
        """From now on these are lost. None: nothing is."""
        self._hidden = types

    def duplicate(self, kind: str, times: int) -> None:
        """The next ones of this type come twice."""
        self._twice += [kind] * times

    def hold(self, types: set[str]) -> None:
        """Keep events back. None: all of them."""
        self._held, self._holds = [], types

    def release(self, order: str | list[int]) -> int:
        """Let them go `straight`, `reversed`, or in the order of these indexes. How many there were."""
        held, self._held = self._held or [], None
        if order == "reversed":
            held.reverse()
        elif isinstance(order, list):
            held = [held[index] for index in order]
        for event in held:
            self._give(event)
        return len(held)

    def chance(self, doubled: float, hidden: float, seed: int) -> None:
        """How likely an event of a message is to come twice, or not at all."""
        self._chance = (doubled, hidden, random.Random(seed))
