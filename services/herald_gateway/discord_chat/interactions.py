"""What slash commands and buttons share: where they were used and by whom, and how they are answered in time.

Discord waits three seconds for a sign and fifteen minutes for the answer. The sign is given at once; the answer is
the post that replies to the message which was made of the interaction.
"""

import asyncio
import time

import discord

from herald import journal
from herald.errors import HeraldError, Unavailable
from herald.people import role_of
from herald.snapshot import Snapshot
from herald_gateway.chat import Inbox, Message, Origin
from herald_gateway.discord_chat.rest import Ambiguous, Refused, attempt

_SIGN_WITHIN = 2.5
_ANSWER_WITHIN = 14 * 60.0
_PAUSE = 0.1
_ALREADY_ACKNOWLEDGED = 40060

NO_RIGHT = "You have no right here."
NOT_DIRECTLY = "Herald takes nothing in direct messages; say it in a channel of a server."


class Deferred:
    """Interactions that got a sign and wait for their answer, by the key of the message made of each.

    In memory only: after a restart the answer goes to the channel, as any other.
    """

    def __init__(self) -> None:
        self._open: dict[str, tuple[float, str]] = {}

    def hold(self, key: str, interaction: discord.Interaction) -> None:
        """The reply to this message is the answer of the interaction."""
        moment = time.monotonic()
        self._open = {each: held for each, held in self._open.items() if moment - held[0] < _ANSWER_WITHIN}
        self._open[key] = (moment, interaction.token)

    def token(self, key: str) -> str | None:
        """The token under which the reply to this message is the answer, while Discord takes it."""
        held = self._open.get(key)
        return held[1] if held and time.monotonic() - held[0] < _ANSWER_WITHIN else None

    def filled(self, key: str) -> None:
        """It is answered, or can't be any more."""
        self._open.pop(key, None)


def author_of(interaction: discord.Interaction) -> str:
    """Who used it."""
    return f"discord:{interaction.user.id}"


def origin_of(interaction: discord.Interaction) -> Origin:
    """Where it was used."""
    channel = interaction.channel
    parent = channel.parent_id if isinstance(channel, discord.Thread) else None
    return Origin(
        guild=str(interaction.guild_id or ""),
        channel=str(channel.id) if channel else "",
        parent=str(parent or ""),
        message="",
        interaction=str(interaction.id),
    )


def project_of(snapshot: Snapshot, origin: Origin) -> str:
    """The project whose channel this is; a thread counts as its parent's."""
    place = origin.parent or origin.channel
    return next((each.name for each in snapshot.projects.values() if place and each.channel == place), "")


def refusal_of(snapshot: Snapshot, interaction: discord.Interaction) -> str:
    """Why it is not even taken, in a line; empty if nothing speaks against it."""
    author = author_of(interaction)
    if interaction.guild_id is None:
        return NO_RIGHT if role_of(snapshot, author, "") is None else NOT_DIRECTLY
    return "" if role_of(snapshot, author, project_of(snapshot, origin_of(interaction))) else NO_RIGHT


async def ignore(inbox: Inbox, snapshot: Snapshot, interaction: discord.Interaction, text: str) -> None:
    """A stranger gets no answer, here as elsewhere; Discord says by itself that nobody responds. The inbox notes it."""
    origin = origin_of(interaction)
    await inbox.take(
        Message(
            key=f"interaction:{interaction.id}",
            project=project_of(snapshot, origin),
            author=author_of(interaction),
            name=interaction.user.display_name,
            text=text,
            origin=origin,
        )
    )


async def answer_at_once(interaction: discord.Interaction, text: str) -> None:
    """The whole answer, seen by the one who used it alone."""
    try:
        await attempt(lambda: interaction.response.send_message(text, ephemeral=True), _SIGN_WITHIN)
    except (Unavailable, Ambiguous, Refused) as error:
        journal.notice(f"an interaction could not be answered: {error}")


async def give_sign(interaction: discord.Interaction, *, ephemeral: bool) -> bool:
    """Say that the answer follows. False when that came too late: then Discord has told the user that it failed."""
    until, tried = time.monotonic() + _SIGN_WITHIN, False
    while (left := until - time.monotonic()) > 0:
        try:
            await attempt(lambda: interaction.response.defer(ephemeral=ephemeral, thinking=True), left)
            return True
        except Refused as error:
            if error.code == _ALREADY_ACKNOWLEDGED:
                return tried  # else the event came twice, and the first one is acted on
            journal.notice(f"an interaction came too late: {error}")
            return False
        except (Unavailable, Ambiguous) as error:
            tried = True
            journal.notice(f"an interaction is not acknowledged yet: {error}")
            await asyncio.sleep(_PAUSE)
    return False


async def say(interaction: discord.Interaction, text: str) -> None:
    """Fill in the answer that was announced by the sign."""
    try:
        await attempt(lambda: interaction.edit_original_response(content=text))
    except (Unavailable, Ambiguous, Refused) as error:
        journal.notice(f"an interaction could not be answered: {error}")


async def take(inbox: Inbox, deferred: Deferred, interaction: discord.Interaction, message: Message) -> None:
    """Hand in what an interaction says; it got its sign already, and the reply will answer it."""
    deferred.hold(message.key, interaction)
    try:
        said = await inbox.take(message)
    except HeraldError as error:
        deferred.filled(message.key)
        await say(interaction, error.message)
        return
    if said["kind"] == "ignored":
        deferred.filled(message.key)
        await say(interaction, NO_RIGHT)
