"""Where a lane leads to now, and who speaks there."""

from typing import NamedTuple

from herald.snapshot import Current, Project
from herald_gateway import deliveries
from herald_gateway.discord_chat.cards import username
from herald_gateway.discord_chat.threads import Threads
from herald_gateway.discord_chat.webhooks import Hook, Webhooks


class Place(NamedTuple):
    """A channel or thread. `project` is set where its webhook reaches it, `thread` then when it is one."""

    channel: str
    thread: str = ""
    project: Project | None = None

    def speaker(self, identity: str) -> dict[str, str]:
        """As whom a webhook posts: in the body of its message."""
        project = self.project
        name = username(identity or (project.agent_name or project.display_name if project else ""))
        picture = project.webhook_avatar_url if project else ""
        return {"username": name} | ({"avatar_url": picture} if picture else {})


class Places:
    """Finds places."""

    def __init__(self, snapshot: Current, hooks: Webhooks, threads: Threads) -> None:
        self._snapshot = snapshot
        self._hooks = hooks
        self._threads = threads

    async def of(self, lane: str, project: str) -> Place | None:
        """Where a post of this project goes; None when there is no place for it. Raises Unavailable, Ambiguous."""
        snapshot = self._snapshot.get()
        own = snapshot.projects.get(project)
        channel = deliveries.channel_of(lane, snapshot)
        thread = ""
        if lane.isdecimal():
            if await self._threads.ready(lane, project):
                thread = lane
            else:
                channel = deliveries.channel_of(deliveries.home_of(project), snapshot)
        if not channel:
            return None
        reaches = own is not None and bool(own.channel) and (bool(thread) or channel == own.channel)
        return Place(channel, thread, own if reaches else None)

    def leads_to(self, lane: str) -> str:
        """The channel that a lane leads to by the configuration."""
        return deliveries.channel_of(lane, self._snapshot.get())

    def system(self) -> str:
        """The system channel; empty if there is none."""
        return self._snapshot.get().discord.system_channel

    def leave(self, place: Place) -> bool:
        """Discord refused this place; true when there is another one: instead of a thread its project's channel."""
        if place.thread:
            self._threads.forget(place.thread)
        return bool(place.thread)

    async def voice(self, place: Place) -> Hook | None:
        """The webhook for what an agent says here. Raises Unavailable."""
        return await self._hooks.of(place.project) if place.project else None

    async def silenced(self, place: Place, hook: Hook) -> None:
        """Discord does not take this webhook any more. Raises Unavailable."""
        if place.project:
            await self._hooks.gone(place.project, hook)
