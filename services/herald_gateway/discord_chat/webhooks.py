"""Under which webhook a project's agent speaks: the book, then the project's file, else one made in its channel.

A webhook that this application made before is found again in the channel, so that a kill between making it and
writing it down leaves no second one.
"""

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol, TypeVar

import discord

from herald import journal
from herald.errors import Conflict, Denied, Failed, HeraldError, Invalid, Unavailable
from herald.snapshot import Current, Project
from herald_gateway.discord_chat.book import Address, Book, address_of, learn, url_of
from herald_gateway.discord_chat.link import Link
from herald_gateway.discord_chat.rest import Ambiguous, Refused, attempt
from herald_gateway.outbox import Draft

LONGEST_NAME = 80
FORBIDDEN = ("discord", "clyde")
_AGAIN_AFTER = 300.0
"""Seconds after which a webhook that was refused is tried to make again."""

_UNKNOWN_CHANNEL, _TOO_MANY = 10003, 30007
_GONE = {404, 405}
T = TypeVar("T")


class Hook(NamedTuple):
    """A webhook to post through. `own`: made by this application, so that it may carry buttons."""

    id: str
    token: str
    own: bool


class Posting(Protocol):
    """Where Herald says something of its own accord."""

    async def post(self, draft: Draft) -> None:
        """Log a post; the same key again changes nothing."""


class Webhooks:
    """The webhook of each project."""

    def __init__(self, link: Link, snapshot: Current, outbox: Posting, folder: str) -> None:
        """`folder` holds webhooks.json."""
        self._link = link
        self._snapshot = snapshot
        self._outbox = outbox
        self._book = Book(folder)
        self._turns: dict[str, asyncio.Lock] = {}
        self._own: dict[str, tuple[bool, str]] = {}
        """By webhook: whether it is of this application, and its channel."""
        self._dead: set[str] = set()
        self._refused: dict[str, float] = {}
        self._learned = -1

    async def of(self, project: Project) -> Hook | None:
        """The webhook of a project; None when there is none and none may be made, which is told once.

        Raises Unavailable when Discord or the book cannot be asked now.
        """
        async with self._turn(project):
            hook = await self._written_down(project)
            if hook is not None or not project.channel or self._is_refused(project):
                return hook
            try:
                return await self._make(project, None)
            except Unavailable:
                raise
            except HeraldError as error:
                self._refused[project.name] = time.monotonic()
                text = f"The agent cannot speak under its own name: {error.message}. Until then Herald posts for it."
                await self._tell(project, text)
                return None

    async def gone(self, project: Project, hook: Hook) -> None:
        """Discord does not know this webhook any more: `of` finds or makes another one. Raises Unavailable."""
        async with self._turn(project):
            self._dead.add(hook.id)
            self._own.pop(hook.id, None)
            self._book.remove(project.name, Address(hook.id, hook.token), self._api)
            journal.notice(f"the webhook {hook.id} is gone", project=project.name)

    async def renew(self, project: Project, avatar: bytes | None) -> Hook:
        """Make or update the agent's webhook in the project's channel; afterwards there is exactly one of ours.

        Raises HeraldError: Conflict without a channel, Denied without the permission, Invalid for a picture that
        Discord does not take, Unavailable when it is to be tried again.
        """
        async with self._turn(project):
            return await self._make(project, avatar)

    def _turn(self, project: Project) -> asyncio.Lock:
        return self._turns.setdefault(project.name, asyncio.Lock())

    @property
    def _api(self) -> str:
        return self._snapshot.get().discord.api

    def _is_refused(self, project: Project) -> bool:
        return time.monotonic() - self._refused.get(project.name, -_AGAIN_AFTER) < _AGAIN_AFTER

    async def _written_down(self, project: Project) -> Hook | None:
        """The webhook of the book, else that of the project's file."""
        self._learn_files()
        self._book.look()
        if self._book.damaged:
            text = f"{self._book.path} is no JSON object. It was set aside as {self._book.damaged}; correct it there."
            await self._outbox.post(Draft(key=f"webhooks:{self._book.damaged}", project="", kind="notice", text=text))
        for place, url in (("webhooks.json", self._book.get(project.name)), ("webhook_url", project.webhook_url)):
            if not url:
                continue
            address = address_of(url, self._api)
            if address is None:
                await self._tell(project, f"{place} names no webhook of Discord for {project.name}; it is left out.")
            elif address.id not in self._dead:
                own, channel = await self._origin_of(address)
                if not own or channel in ("", project.channel):
                    return Hook(address.id, address.token, own)
                # Herald made it itself, for the channel that the project had before.
        return None

    def _learn_files(self) -> None:
        snapshot = self._snapshot.get()
        if snapshot.generation != self._learned:
            self._learned = snapshot.generation
            for project in snapshot.projects.values():
                if project.webhook_url:
                    learn(project.webhook_url)

    async def _origin_of(self, address: Address) -> tuple[bool, str]:
        """Whether a webhook is of this application, and its channel; asked once. Raises Unavailable."""
        known = self._own.get(address.id)
        if known is None:
            client = await self._link.client()
            try:
                found = await sure(lambda: client.fetch_webhook(int(address.id)))
                known = (_is_own(found, client), str(found.channel_id or ""))
            except Refused:  # another server's, or one that we may not see: it can be posted to all the same
                known = (False, "")
            self._own[address.id] = known
        return known

    async def _make(self, project: Project, avatar: bytes | None) -> Hook:
        """Exactly one webhook of this application in the project's channel, written down. Raises HeraldError."""
        if not project.channel:
            raise Conflict(f"{project.name} has no channel: set discord_channel_id in its file, then `!reload`")
        client = await self._link.client()
        name = name_for(project)
        try:
            channel = await _channel(client, project.channel)
            ours = await ours_in(channel, client)
            kept = await self._kept(project, ours, name, avatar)
            if kept is None:
                kept = await sure(lambda: channel.create_webhook(name=name, avatar=avatar, reason="Herald"))
                ours = await ours_in(channel, client)  # two, where discord.py asked again after a 5xx
            hook = self._write_down(project, kept)
            for each in ours:
                if each.id != kept.id:
                    await _delete(each)
        except Refused as refusal:
            raise _reason(refusal, project) from refusal
        except ValueError as error:
            raise Invalid("the picture is neither PNG, JPEG, GIF nor WebP") from error
        self._refused.pop(project.name, None)
        return hook

    async def _kept(
        self, project: Project, ours: list[discord.Webhook], name: str, avatar: bytes | None
    ) -> discord.Webhook | None:
        """The one of ours that stays, with name and picture as they shall be; None when a new one has to be made."""
        written = address_of(self._book.get(project.name), self._api)
        known = written.id if written else ""
        kept = min(ours, key=lambda each: (str(each.id) != known, each.name != name, each.id), default=None)
        if kept is None or (kept.name == name and avatar is None):
            return kept
        changes = {"name": name} if avatar is None else {"name": name, "avatar": avatar}
        hook = kept
        try:
            return await sure(lambda: hook.edit(**changes, reason="Herald"))
        except Refused as refusal:
            if refusal.status in _GONE:
                return None
            raise

    def _write_down(self, project: Project, made: discord.Webhook) -> Hook:
        address = Address(str(made.id), str(made.token))
        url = url_of(address, self._api)
        if self._book.get(project.name) != url:
            self._book.set(project.name, url)
        self._own[address.id] = (True, project.channel)
        self._dead.discard(address.id)
        return Hook(address.id, address.token, own=True)

    async def _tell(self, project: Project, text: str) -> None:
        """Once, over restarts too; the text is its own key."""
        journal.warning(text, project=project.name)
        key = f"webhook:{project.name}:{zlib.crc32(text.encode()):08x}"
        await self._outbox.post(Draft(key=key, project=project.name, kind="notice", text=text))


def name_for(project: Project) -> str:
    """The name of a project's webhook: that of its agent, as far as Discord takes it."""
    for name in (project.agent_name, project.display_name, project.name):
        short = " ".join(name.split())[:LONGEST_NAME]
        if short and not any(word in short.lower() for word in FORBIDDEN):
            return short
    return "Herald agent"


async def _channel(client: discord.Client, channel: str) -> discord.TextChannel:
    """The channel, if a webhook can be in it. Raises Refused, Conflict."""
    number = int(channel)
    found = client.get_channel(number) or await sure(lambda: client.fetch_channel(number))
    if not isinstance(found, discord.TextChannel):
        raise Conflict(f"the channel {channel} is no text channel; set discord_channel_id to one")
    return found


async def _delete(webhook: discord.Webhook) -> None:
    try:
        await sure(lambda: webhook.delete(reason="Herald"))
    except Refused as refusal:
        if refusal.status != 404:  # gone already
            raise


async def sure(call: Callable[[], Awaitable[T]]) -> T:
    """A call that may be made again at any time. Raises Refused, and Unavailable whatever else went wrong."""
    try:
        return await attempt(call)
    except Ambiguous as error:
        raise Unavailable(str(error)) from error


async def ours_in(channel: discord.TextChannel, client: discord.Client) -> list[discord.Webhook]:
    """The webhooks in a channel that this application made, oldest first. Raises Refused, Unavailable."""
    found = [each for each in await sure(channel.webhooks) if _is_own(each, client) and each.token]
    return sorted(found, key=lambda each: each.id)


def _is_own(webhook: discord.Webhook, client: discord.Client) -> bool:
    return webhook.user is not None and client.user is not None and webhook.user.id == client.user.id


def _reason(refusal: Refused, project: Project) -> HeraldError:
    """A refusal in words, with the next step."""
    if refusal.code == _UNKNOWN_CHANNEL:
        return Conflict(f"the channel {project.channel} is gone; set discord_channel_id to another, then `!reload`")
    if refusal.status == 403:
        where = f"<#{project.channel}> (channel settings, Permissions)"
        return Denied(f"Herald needs the permission Manage Webhooks in {where}; then `!webhook {project.name}`")
    if refusal.code == _TOO_MANY:
        return Conflict("the channel has 15 webhooks, which is the most; remove one (channel settings, Integrations)")
    if refusal.status == 400:
        return Invalid(f"Discord does not take the name or the picture of the agent: {refusal.text}")
    return Failed(f"Discord refuses the webhook: {refusal}")
