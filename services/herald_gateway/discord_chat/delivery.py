"""Posts on their way into Discord: one lane for each destination, in order, until Discord has them.

Before a post is sent it is noted durably that it may have been (`begun`, with the newest message of the channel).
After a failure that leaves open what was done, and after a kill, the channel is read from there on before the post
is sent again: what is found there is not sent twice. Only where Discord itself does not tell yet, a webhook's post
may be doubled; the bot's carry a nonce, by which Discord knows the second one.
"""

import asyncio
import hashlib
import random
import time
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, Protocol

import discord

from herald import journal
from herald.database import Database
from herald.errors import Unavailable
from herald_gateway import deliveries
from herald_gateway.deliveries import Due, Sent
from herald_gateway.discord_chat import cards
from herald_gateway.discord_chat.cards import Form
from herald_gateway.discord_chat.link import Link
from herald_gateway.discord_chat.marking import Marking
from herald_gateway.discord_chat.places import Place, Places
from herald_gateway.discord_chat.rest import Ambiguous, Refused
from herald_gateway.discord_chat.sending import Posted, Wire, pause
from herald_gateway.discord_chat.webhooks import Hook
from herald_gateway.lanes import insist
from herald_gateway.outbox import Draft, Outbox

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 4.0
_STANDSTILL = (30.0, 60.0)
"""Seconds until a channel that refuses is tried again, unless something changes before."""
_LOOK = 2.0
_MOST_VOICES = 3
"""Webhooks that are tried for one post before the bot says it."""

_NEWEST_FOR = 60.0
_TOLD_AFTER = 60.0
"""Seconds after which a post that cannot be sent is mentioned in the journal and the status."""

_UNKNOWN_CHANNEL, _UNKNOWN_MESSAGE, _UNKNOWN_WEBHOOK, _CLOSED = 10003, 10008, 10015, 50007
_NOT_TO_BE_EDITED = {_UNKNOWN_CHANNEL, _UNKNOWN_MESSAGE, _UNKNOWN_WEBHOOK, 50005, 50083}
"""The message is gone, it is somebody else's, or its thread is archived."""
_NOT_WRITABLE = {50083, 160005}
"""400, but because of the thread: it is archived or locked."""


class Replies(Protocol):
    """Slash commands that wait for their reply, by the key of the message they were taken as."""

    def token(self, key: str) -> str | None:
        """The token of the interaction, while its deferred reply can be filled."""

    def filled(self, key: str) -> None:
        """It has its reply."""


class _Attempt(NamedTuple):
    """How the next attempt at a post is made, after what was learned by those before: how often it was reduced, how
    many webhooks refused it, and whether the message that it was to change is gone."""

    reduced: int = 0
    voices: int = 0
    anew: bool = False


class _Silenced(Exception):
    """The webhook does not work (any more): another one, or the bot, says it."""


class _Standstill(Exception):
    """The channel refuses: its lane waits until something changes."""

    def __init__(self, channel: str, refusal: Refused) -> None:
        super().__init__(channel)
        self.channel = channel
        self.refusal = refusal


class Sender:
    """Sends what the log of posts holds for Discord."""

    def __init__(
        self,
        database: Database,
        link: Link,
        wire: Wire,
        places: Places,
        outbox: Outbox,
        ended: Callable[[str], None] = lambda _: None,
        replies: Replies | None = None,
        carded: Callable[[str, str], Awaitable[None]] | None = None,
    ) -> None:
        """`ended` hears of each task whose last post was sent, `carded` of each new card (channel, message)."""
        self._database = database
        self._link = link
        self._wire = wire
        self._places = places
        self._outbox = outbox
        self._ended = ended
        self._replies = replies
        self._marking = Marking(database, wire, carded)
        self._bell = asyncio.Event()
        self._again = asyncio.Event()
        self._running: set[str] = set()
        self._turns: dict[str, asyncio.Lock] = {}
        self._newest: dict[str, tuple[str, float]] = {}
        self._told: set[str] = set()
        self._standing: dict[str, str] = {}
        link.on_ready(self._try_again)

    @property
    def problem(self) -> str:
        """Where posts wait because Discord refuses them, in words; empty when nowhere."""
        return "; ".join(self._standing.values())

    def wake(self) -> None:
        """The log has grown."""
        self._bell.set()

    async def backlog(self) -> int:
        """How many posts Discord does not have yet."""
        return await self._database.read(deliveries.backlog)

    async def run(self) -> None:
        """Send for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._marking.run(), name="reactions under cards")
            while True:
                self._bell.clear()
                for lane in await insist(lambda: self._database.read(deliveries.lanes)):
                    if lane not in self._running:
                        self._running.add(lane)
                        tasks.create_task(self._serve(lane), name=f"discord {lane or 'system'}")
                await self._bell.wait()

    async def _try_again(self, _: discord.Client) -> None:
        """The connection is back: nobody waits any longer."""
        self._marking.wake()
        waiting, self._again = self._again, asyncio.Event()
        waiting.set()

    async def _serve(self, lane: str) -> None:
        """Send what waits in a lane, then end."""
        try:
            while True:
                due = await insist(lambda: self._database.read(partial(deliveries.next_due, lane=lane)))
                if due is None:
                    return
                await self._deliver(due)
        finally:
            self._standing.pop(lane, None)
            self._running.discard(lane)
            self._bell.set()  # a post may have come after the last look

    async def _deliver(self, due: Due) -> None:
        """Send one post, however long it takes. The boundary for a post that nothing foresaw: it is reduced like one
        that Discord does not take, so that the lane goes on."""
        attempt = _Attempt()
        wait = _FIRST_PAUSE
        since = time.monotonic()
        while True:
            again = self._again
            try:
                following = await self._try(due, attempt)
                self._standing.pop(due.lane, None)
                if following is None:
                    return
                attempt = following
            except (Unavailable, Ambiguous) as error:
                journal.debug(f"post {due.post} is tried again: {error}", project=due.project)
                if time.monotonic() - since > _TOLD_AFTER and due.lane not in self._standing:
                    self._standing[due.lane] = f"posts wait: {error}"
                    journal.warning(
                        f"post {due.post} and those behind it wait for Discord: {error}", project=due.project
                    )
                await pause(wait * random.uniform(0.5, 1.0), again)
                wait = min(2 * wait, _LONGEST_PAUSE)
            except _Silenced:
                attempt = attempt._replace(voices=attempt.voices + 1)
            except _Standstill as standstill:
                await self._stand(due, standstill, again)
            except Exception as error:  # noqa: BLE001 - the named boundary
                details = "".join(traceback.format_exception(error))
                journal.error(f"post {due.post} failed, it is reduced\n{details}", project=due.project)
                attempt = attempt._replace(reduced=attempt.reduced + 1)
            due = due._replace(begun=await self._begun(due.post))

    async def _try(self, due: Due, attempt: _Attempt) -> _Attempt | None:
        """One attempt; how the next one is to be made, None when there need be none."""
        place = await self._places.of(due.lane, due.project)
        if place is None:
            await self._give_up(due, "there is no system channel; set discord.system_channel in herald.yaml")
            return None
        form = cards.form_of(due, attempt.reduced, await self._upload_limit(due, place))
        if form is None:
            await self._give_up(due, "Discord takes it in no form")
            return None
        sent = None if attempt.anew else await self._database.read(partial(deliveries.sent_of, key=due.key))
        try:
            if sent is not None:
                await self._edit(due, sent, place, form)
            elif not await self._fill(due, form):
                await self._send(due, place, form, attempt)
        except Refused as refusal:
            return await self._refused(due, attempt, place, sent, refusal)
        return None

    async def _refused(
        self, due: Due, attempt: _Attempt, place: Place, sent: Sent | None, refusal: Refused
    ) -> _Attempt | None:
        """What follows from a refusal."""
        if refusal.status == 401:
            raise Unavailable("Discord does not take the bot's token") from refusal
        if sent is not None and (refusal.code in _NOT_TO_BE_EDITED or refusal.status == 404):
            return attempt._replace(anew=True)
        if refusal.code == _CLOSED:
            await self._give_up(due, "the person takes no direct messages")
            return None
        if refusal.status in (403, 404) or refusal.code in _NOT_WRITABLE:
            if sent is None and self._places.leave(place):
                return attempt
            raise _Standstill(sent.channel if sent else place.channel, refusal)
        journal.error(f"Discord does not take post {due.post}: {refusal}", project=due.project)
        if any(field in refusal.text for field in ("username", "avatar_url")):
            return attempt._replace(voices=_MOST_VOICES)
        return attempt._replace(reduced=attempt.reduced + 1)

    async def _edit(self, due: Due, sent: Sent, place: Place, form: Form) -> None:
        """Change what was sent. Raises Refused."""
        hook = await self._places.voice(place) if sent.webhook else None
        if sent.webhook and (hook is None or hook.id != sent.webhook):
            raise Refused(404, _UNKNOWN_WEBHOOK, "the webhook that it was posted through is gone")
        thread = sent.channel if place.project and sent.channel != place.project.channel else ""
        try:
            await self._wire.edit(sent.channel, sent.message, hook, form.body(edits=True), form.files, thread=thread)
        except Refused as refusal:
            if hook is not None and refusal.status in (401, 403):
                raise Refused(404, _UNKNOWN_WEBHOOK, refusal.text) from refusal
            raise
        await self._finish(due, sent._replace(revision=due.revision, votable=due.votable))

    async def _fill(self, due: Due, form: Form) -> bool:
        """Answer a slash command where it was given; false when that can't be done (any more)."""
        token = self._replies.token(due.answers) if self._replies and due.kind == "reply" else None
        if self._replies is None or token is None:
            return False
        if not due.begun:  # the message that is filled is newer than the interaction
            await self._begin(due, due.answers.rpartition(":")[2])
        try:
            posted = await self._wire.fill(token, form.body(edits=True), form.files)
        except Refused as refusal:
            if refusal.status == 400:
                raise
            self._replies.filled(due.answers)
            return False
        await self._finish(due, _sent(due, posted, ""))
        self._replies.filled(due.answers)
        return True

    async def _send(self, due: Due, place: Place, form: Form, attempt: _Attempt) -> None:
        """A new message, unless the channel has it already. Raises Refused."""
        speaks = due.kind == "answer" and attempt.voices < _MOST_VOICES
        hook = await self._places.voice(place) if speaks else None
        async with self._turns.setdefault(place.channel, asyncio.Lock()):
            if due.begun:
                found = await self._find(due, place, form)
                if found is not None:
                    _, _, webhook = due.begun.partition(" ")
                    await self._finish(due, _sent(due, found, webhook if found.webhook == webhook else ""))
                    return
            else:
                newest = await self._newest_of(place.channel)
                await self._begin(due, f"{newest} {hook.id}" if hook else newest)
            posted = await self._say(due, place, form, hook, attempt)
            await self._finish(due, _sent(due, posted, hook.id if hook else ""))

    async def _say(self, due: Due, place: Place, form: Form, hook: Hook | None, attempt: _Attempt) -> Posted:
        if hook is None:
            shown = form.named(due.identity) if due.kind == "answer" else form
            nonce = hashlib.sha256(f"{due.key}\0{due.revision}\0{attempt.reduced}\0{attempt.anew}".encode())
            body = shown.body() | {"nonce": nonce.hexdigest()[:24], "enforce_nonce": True}
            return await self._wire.post(place.channel, body, form.files)
        try:
            return await self._wire.execute(hook, form.body() | place.speaker(due.identity), form.files, place.thread)
        except Refused as refusal:
            if refusal.code != _UNKNOWN_CHANNEL and refusal.status in (401, 403, 404):
                await self._places.silenced(place, hook)
                raise _Silenced from refusal
            raise

    async def _find(self, due: Due, place: Place, form: Form) -> Posted | None:
        """The message of a post that may have been sent: by the bot or that webhook, with the same content and files,
        and not that of another post."""
        after, _, webhook = due.begun.partition(" ")
        client = await self._link.client()
        own = str(client.user.id) if client.user else ""
        said = form.named(due.identity).content if due.kind == "answer" else form.content
        files = tuple((each.name, each.size) for each in form.files)
        for each in await self._wire.after(place.channel, after):
            through_hook = bool(webhook) and each.webhook == webhook
            content = form.content if through_hook else said
            same = each.content.strip() == content.strip() and each.files == files
            ours = same and (through_hook or each.author == own)
            if ours and not await self._database.read(partial(deliveries.is_known, message=each.id)):
                return each
        return None

    async def _begun(self, post: int) -> str:
        return await insist(lambda: self._database.read(partial(deliveries.begun_of, post=post)))

    async def _begin(self, due: Due, begun: str) -> None:
        await self._database.write(partial(deliveries.begin, post=due.post, begun=begun))

    async def _newest_of(self, channel: str) -> str:
        """A message of the channel that is older than what is sent next, and not much older."""
        known, at = self._newest.get(channel, ("", 0.0))
        return known if known and time.monotonic() - at < _NEWEST_FOR else await self._wire.newest(channel)

    async def _finish(self, due: Due, sent: Sent) -> None:
        """Discord has it. That is written down, however long it takes, before anything else is done in the lane."""
        await insist(lambda: self._database.write(partial(deliveries.finish, due=due, sent=sent)))
        if sent.revision == 0:
            self._newest[sent.channel] = (sent.message, time.monotonic())
        if sent.votable:
            self._marking.wake()
        if due.task and due.ends:
            self._ended(due.task)

    async def _give_up(self, due: Due, reason: str) -> None:
        """Discord will not get this post; the log has it."""
        await insist(lambda: self._database.write(partial(deliveries.drop, due=due)))
        if reason not in self._told:
            self._told.add(reason)
            text = f"post {due.post} is not in Discord, `heraldctl posts` has it (told once): {reason}"
            journal.warning(text, project=due.project)
        if due.task and due.ends:
            self._ended(due.task)

    async def _stand(self, due: Due, standstill: _Standstill, again: asyncio.Event) -> None:
        """Tell once that a channel refuses, then wait: for a while, until the connection is made anew, or until the
        lane leads elsewhere."""
        channel = standstill.channel
        text = (
            f"Discord refuses posts in <#{channel}>: {standstill.refusal.text}. They wait;"
            " `heraldctl discord check` tells what is missing there."
        )
        if due.lane not in self._standing:
            self._standing[due.lane] = text
            journal.warning(
                f"{text} ({standstill.refusal.status}, code {standstill.refusal.code})", project=due.project
            )
            if channel != self._places.system():
                await insist(lambda: self._outbox.post(Draft(f"refused:{due.post}", "", "notice", text)))
        until = time.monotonic() + random.uniform(*_STANDSTILL)
        while time.monotonic() < until and not again.is_set() and self._places.leads_to(due.lane) == channel:
            await pause(_LOOK, again)

    async def _upload_limit(self, due: Due, place: Place) -> int:
        """Bytes that a file may have there; servers that are boosted take more."""
        if not due.file:
            return cards.UPLOAD_LIMIT
        found = (await self._link.client()).get_channel(int(place.channel))
        guild = getattr(found, "guild", None)
        return max(cards.UPLOAD_LIMIT, guild.filesize_limit) if isinstance(guild, discord.Guild) else cards.UPLOAD_LIMIT


def _sent(due: Due, posted: Posted, webhook: str) -> Sent:
    return Sent(due.key, due.revision, posted.channel, posted.id, webhook, due.task, due.proposal, due.votable)
