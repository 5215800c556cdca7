"""What a running task is doing: one message for each, changed while it goes on, and a last time when it is over.

A message is changed at most every two seconds, with what is newest then: nothing queues up behind a rate limit. The
table `progress` says where each message is, so that after a restart the same one goes on.
"""

import asyncio
import random
import re
import time
import traceback
from functools import partial
from typing import Any

from herald import clock, journal
from herald.database import Database
from herald.errors import Unavailable
from herald.interfaces.gateway import Progress
from herald.snapshot import Current
from herald_gateway import shown
from herald_gateway.discord_chat.cards import Form, button, code, plain
from herald_gateway.discord_chat.link import Link
from herald_gateway.discord_chat.places import Place, Places
from herald_gateway.discord_chat.rest import Ambiguous, Refused
from herald_gateway.discord_chat.sending import Wire, pause
from herald_gateway.discord_chat.webhooks import Hook
from herald_gateway.lanes import insist
from herald_gateway.shown import Shown

_EDIT_EVERY = 2.0
_CLOCK_EVERY = 15.0
_TYPE_EVERY = 8.0
_SILENT_FOR = 3600.0
"""Seconds without a word of a task after which its message is left as it is until there is one."""
_REFUSED_FOR = 60.0
_LAST_TRIES = 6
_PAUSE = (1.0, 3.0)
_UNKNOWN_CHANNEL = 10003


class Showing:
    """Shows the progress of tasks."""

    def __init__(self, database: Database, snapshot: Current, link: Link, wire: Wire, places: Places) -> None:
        self._database = database
        self._snapshot = snapshot
        self._link = link
        self._wire = wire
        self._places = places
        self._newest: dict[str, tuple[Progress, float]] = {}
        self._bells: dict[str, asyncio.Event] = {}
        self._typed: dict[str, float] = {}
        self._tasks: asyncio.TaskGroup | None = None

    def progressed(self, progress: Progress) -> None:
        """A task is doing this now."""
        self._newest[progress["task"]] = (progress, time.monotonic())
        self._ring(progress["task"])

    def ended(self, task: str) -> None:
        """The task's last post was sent: its message is changed a last time."""
        self._ring(task)

    async def run(self) -> None:
        """Show for ever; first what was left over from before."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                for task in {*await insist(lambda: self._database.read(shown.due)), *self._newest}:
                    self._ring(task)
                await asyncio.Event().wait()
            finally:
                self._tasks = None

    def _ring(self, task: str) -> None:
        if self._tasks is None:
            return  # the start of `run` looks for what there is
        if task in self._bells:
            self._bells[task].set()
        else:
            self._bells[task] = asyncio.Event()
            self._tasks.create_task(self._show(task, self._bells[task]), name=f"progress {task}")

    async def _show(self, task: str, bell: asyncio.Event) -> None:
        """Show one task until it is over. The boundary for what nothing foresaw: progress is worth no restart."""
        try:
            await self._follow(task, bell)
        except Exception as error:  # noqa: BLE001 - the named boundary
            details = "".join(traceback.format_exception(error))
            journal.error(f"the progress of task {task} cannot be shown\n{details}", task=task)
        finally:
            del self._bells[task]
            self._newest.pop(task, None)

    async def _follow(self, task: str, bell: asyncio.Event) -> None:
        said, at, free = "", 0.0, 0.0
        while True:
            bell.clear()
            row = await insist(lambda: self._database.read(partial(shown.find, task=task)))
            if row is not None and row.ended:
                if row.ended == shown.ENDING:
                    await self._conclude(row)
                return
            progress, heard = self._newest.get(task, (None, 0.0))
            if progress is None or time.monotonic() - heard > _SILENT_FOR:
                return
            if progress["text"] != said or time.monotonic() - at >= _CLOCK_EVERY:
                if (wait := free - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
                    continue
                done, seconds = await self._step(progress, row)
                free = time.monotonic() + seconds
                if done:
                    said, at = progress["text"], time.monotonic()
                continue
            await self._type(row)
            await pause(max(0.0, min(_TYPE_EVERY, at + _CLOCK_EVERY - time.monotonic())), bell)

    async def _step(self, progress: Progress, row: Shown | None) -> tuple[bool, float]:
        """Send the message, or change it: whether that was done, and the seconds until the next time."""
        try:
            if row is None or not row.message:
                return await self._begin(progress, row)
            place, hook = await self._voice_of(row)
            delay = self._wire.edit_delay(row.channel, hook)
            if delay:
                return False, delay  # what is newest then is shown then
            form = _form(progress, self._name(row.project, hook), _has_button(hook))
            await self._edit(row, place, hook, form, patient=False)
        except (Unavailable, Ambiguous) as error:
            journal.debug(f"progress of task {progress['task']} is not shown now: {error}", project=progress["project"])
            return False, random.uniform(*_PAUSE)
        except Refused as refusal:
            await self._let_go(progress["task"], refusal)
        return True, _EDIT_EVERY

    async def _begin(self, progress: Progress, row: Shown | None) -> tuple[bool, float]:
        """Send the message, unless it was sent by an attempt whose end is not known. Raises Refused."""
        task, project = progress["task"], progress["project"]
        snapshot = self._snapshot.get()
        lane = await self._database.read(partial(shown.lane_of, progress=progress, snapshot=snapshot))
        place = await self._places.of(lane, project)
        if place is None:
            return False, _REFUSED_FOR
        hook = await self._places.voice(place)
        if row is not None and await self._find(row, place):
            return False, 0.0
        if row is None:
            newest = await self._wire.newest(place.channel)
            begun = f"{newest} {hook.id}" if hook else newest
            row = Shown(task, project, place.channel, "", "", progress["answers"], begun, shown.GOING, "")
            if not await self._database.write(partial(shown.begin, shown=row)):
                return False, 0.0
        body = _form(progress, self._name(project, hook), _has_button(hook)).body()
        try:
            if hook is None:
                posted = await self._wire.post(place.channel, body)
            else:
                posted = await self._wire.execute(hook, body | place.speaker(""), thread=place.thread)
        except Refused as refusal:
            if hook is not None and refusal.code != _UNKNOWN_CHANNEL and refusal.status in (401, 403, 404):
                await self._places.silenced(place, hook)
                return False, _EDIT_EVERY
            if refusal.status in (403, 404):  # that it is so is told by the posts
                return False, _EDIT_EVERY if self._places.leave(place) else _REFUSED_FOR
            raise
        await self._note(task, posted.channel, posted.id, hook.id if hook else "")
        return True, _EDIT_EVERY

    async def _find(self, row: Shown, place: Place) -> bool:
        """Look for a message that may have been sent: by the bot or that webhook, and of this task."""
        after, _, webhook = row.begun.partition(" ")
        client = await self._link.client()
        own = str(client.user.id) if client.user else ""
        mark = re.compile(rf"^-# task {re.escape(row.task)}(?: ·|$)", re.MULTILINE)
        for each in await self._wire.after(place.channel, after):
            if mark.search(each.content) and each.author in (own, webhook or own):
                await self._note(row.task, each.channel, each.id, webhook if each.author == webhook else "")
                return True
        return False

    async def _note(self, task: str, channel: str, message: str, webhook: str) -> None:
        work = partial(shown.sent, task=task, channel=channel, message=message, webhook=webhook)
        await insist(lambda: self._database.write(work))

    async def _conclude(self, row: Shown) -> None:
        """The last edit; one that fails is repeated a few times, then let go."""
        form = Form(plain(row.ends))
        for _ in range(_LAST_TRIES if row.ended == shown.ENDING else 0):
            try:
                if not row.message:
                    place = await self._places.of(row.channel, row.project)
                    if place is None or not await self._find(row, place):
                        break
                    row = await self._again(row)
                place, hook = await self._voice_of(row)
                await self._edit(row, place, hook, form.named(self._name(row.project, hook)))
                break
            except Refused as refusal:
                journal.debug(f"the last edit of the progress of task {row.task} is refused: {refusal}")
                break
            except (Unavailable, Ambiguous):
                await asyncio.sleep(random.uniform(*_PAUSE))
        await insist(lambda: self._database.write(partial(shown.over, task=row.task)))

    async def _again(self, row: Shown) -> Shown:
        found: Shown | None = await self._database.read(partial(shown.find, task=row.task))
        return found or row

    async def _voice_of(self, row: Shown) -> tuple[Place, Hook | None]:
        """Where a message is, and the webhook that it was sent through. Raises Refused when that one is gone."""
        project = self._snapshot.get().projects.get(row.project)
        thread = row.channel if project is not None and row.channel != project.channel else ""
        place = Place(row.channel, thread, project)
        if not row.webhook:
            return place, None
        hook = await self._places.voice(place)
        if hook is None or hook.id != row.webhook:
            raise Refused(404, 10015, "the webhook is gone")
        return place, hook

    async def _edit(self, row: Shown, place: Place, hook: Hook | None, form: Form, *, patient: bool = True) -> None:
        body = form.body(edits=True)
        await self._wire.edit(row.channel, row.message, hook, body, thread=place.thread, patient=patient)

    async def _let_go(self, task: str, refusal: Refused) -> None:
        """The message was removed, or can't be changed: the task goes on without."""
        journal.notice(f"the progress of task {task} is not shown any more: {refusal}", task=task)
        await insist(lambda: self._database.write(partial(shown.over, task=task)))

    async def _type(self, row: Shown | None) -> None:
        """Show in the channel that something is being written, if that can be done at once."""
        if row is None or not row.message or not self._link.ready.is_set():
            return
        moment = time.monotonic()
        if moment - self._typed.get(row.channel, -_TYPE_EVERY) < _TYPE_EVERY:
            return
        self._typed[row.channel] = moment
        try:
            await self._wire.type(row.channel)
        except (Unavailable, Ambiguous, Refused) as error:
            journal.debug(f"no typing in channel {row.channel}: {error}")

    def _name(self, project: str, hook: Hook | None) -> str:
        """The agent's name, where it must be said because the message is the bot's."""
        found = self._snapshot.get().projects.get(project)
        return (found.agent_name or found.display_name) if found is not None and hook is None else ""


def _form(progress: Progress, name: str, has_button: bool) -> Form:
    """The message of a task that goes on."""
    parts = [f"task {progress['task']}"]
    if progress["started_at"]:
        parts.append(_elapsed(time.time() - clock.seconds(progress["started_at"])))
    if progress["tokens"]:
        parts.append(f"{progress['tokens']:,} tokens")
    if progress["cost_usd"]:
        parts.append(f"${progress['cost_usd']:.2f}")
    content = f"⏳ {code(progress['text']) or 'at work'}\n-# {' · '.join(parts)}"
    buttons: tuple[dict[str, Any], ...] = ()
    if has_button:
        buttons = (button("Cancel", f"herald:cancel:{progress['task']}", 4),)
    return Form(content, buttons=buttons).named(name)


def _has_button(hook: Hook | None) -> bool:
    """Buttons under messages of a webhook that another application made are not brought to Herald."""
    return hook is None or hook.own


def _elapsed(seconds: float) -> str:
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
