"""Buttons under cards, progress and questions: pressed, each is a message of the one who pressed it.

Nothing is kept in memory: what a button does is in its custom id, so those from before a restart work, too.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import discord

from herald.errors import HeraldError
from herald.snapshot import Current
from herald_gateway.chat import Inbox, Message
from herald_gateway.discord_chat import interactions
from herald_gateway.discord_chat.interactions import Deferred
from herald_gateway.discord_chat.late import said_at

_PREFIX = "herald"
_VOTES = {"approve": "\U0001f44d", "reject": "\U0001f44e"}
_UNKNOWN = "This button is of another version of Herald; say it as a command."

_OLD_LIST = "This list is more than an hour old. Say !reset again to see what is there now."
_FRESH = 3600.0
"""Seconds for which a list may be acted on by its button."""

Confirm = Callable[[str, str], Awaitable[str]]
"""Lets a late message (its id) be acted on, as this person says; returns a line for the one who pressed. Raises
HeraldError."""


def vote_id(proposal: str, choice: str) -> str:
    """The custom id of a card's button; `choice` is approve or reject."""
    return f"{_PREFIX}:vote:{proposal}:{choice}"


def cancel_id(task: str) -> str:
    """The custom id of the button under a task's progress."""
    return f"{_PREFIX}:cancel:{task}"


def late_id(message: str) -> str:
    """The custom id of the button under the question about a late message."""
    return f"{_PREFIX}:late:{message}"


class Buttons:
    """Acts on buttons; the answer is seen by the one who pressed alone."""

    def __init__(self, snapshot: Current, inbox: Inbox, deferred: Deferred, confirm: Confirm) -> None:
        self._snapshot = snapshot
        self._inbox = inbox
        self._deferred = deferred
        self._confirm = confirm

    async def act(self, interaction: discord.Interaction) -> None:
        """A button of Herald's; anything else is not for here."""
        data: Any = interaction.data or {}
        custom_id = str(data.get("custom_id", ""))
        if interaction.type is not discord.InteractionType.component or not custom_id.startswith(f"{_PREFIX}:"):
            return
        snapshot = self._snapshot.get()
        refusal = interactions.refusal_of(snapshot, interaction)
        if refusal == interactions.NO_RIGHT:
            await interactions.ignore(self._inbox, snapshot, interaction, custom_id)
        elif refusal:
            await interactions.answer_at_once(interaction, refusal)
        elif await interactions.give_sign(interaction, ephemeral=True):
            await self._carry_out(interaction, custom_id.split(":")[1:])

    async def _carry_out(self, interaction: discord.Interaction, words: list[str]) -> None:
        match words:
            case ["vote", proposal, choice] if choice in _VOTES:
                await self._say(interaction, _VOTES[choice], proposal=proposal)
            case ["cancel", task]:
                await self._say(interaction, "!cancel --running", task=task)
            case ["do", command] if command.endswith(" --yes") and is_old(_message_of(interaction)):
                await interactions.say(interaction, _OLD_LIST)
            case ["do", command]:
                await self._say(interaction, f"!{command}")
            case ["late", message]:
                try:
                    line = await self._confirm(message, interactions.author_of(interaction))
                except HeraldError as error:
                    line = error.message
                await interactions.say(interaction, line)
            case _:
                await interactions.say(interaction, _UNKNOWN)

    async def _say(self, interaction: discord.Interaction, text: str, proposal: str = "", task: str = "") -> None:
        origin = interactions.origin_of(interaction)
        message = Message(
            key=f"interaction:{interaction.id}",
            project=interactions.project_of(self._snapshot.get(), origin),
            author=interactions.author_of(interaction),
            name=interaction.user.display_name,
            text=text,
            origin=origin,
            proposal=proposal,
            replies_to=task,
        )
        await interactions.take(self._inbox, self._deferred, interaction, message)


def is_old(message: int) -> bool:
    """Whether the message with a button was posted too long ago for what it lists to be acted on."""
    return time.time() - said_at(message) > _FRESH


def _message_of(interaction: discord.Interaction) -> int:
    """The message with the button; 0, which is old, where Discord does not say it."""
    return interaction.message.id if interaction.message is not None else 0
