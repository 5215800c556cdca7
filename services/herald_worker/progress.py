"""What people see of a task under way: a line about every second, and the one with which that ends."""

import asyncio
import os
import time
from typing import NamedTuple

from herald import clock, events
from herald.database import Database
from herald.interfaces.gateway import Progress
from herald_worker import posts, tasks
from herald_worker.runfolder import RunFolder, number_of, parse_lines, text_of
from herald_worker.starting import Going

_EVERY = 1.0
"""Seconds between looks at a run's log; nothing but what is shown waits for it."""

_EVENT_EVERY = 2.0
_MOST_LOG = 64 << 20
_LONGEST = 200
_MOST_TOKENS = 1 << 50


class Doing(NamedTuple):
    """What an agent is doing, and what its run has used so far."""

    text: str
    tokens: int = 0
    cost_usd: float = 0.0


class Showing:
    """Shows what runs are doing, each from its start to its end."""

    def __init__(self, database: Database, log: events.EventLog, outbox: posts.Outbox) -> None:
        self._database = database
        self._log = log
        self._outbox = outbox
        self._shown: dict[str, asyncio.Task[None]] = {}

    def begin(self, going: Going) -> None:
        """Show a run from now on."""
        run = going.run.run
        self._shown[run] = asyncio.create_task(self._show(going), name=f"progress of {run}")

    async def end(self, run: str) -> None:
        """Show nothing more of a run; to be called before anything is posted about its end."""
        showing = self._shown.pop(run, None)
        if showing is not None:
            showing.cancel()
            await asyncio.wait([showing])
            if not showing.cancelled():
                showing.result()

    async def _show(self, going: Going) -> None:
        before = await self._database.read(lambda connection: tasks.spent(connection, going.task.id))
        await self._tell(going, Doing("starting"), before)
        seen, last_event = 0, 0.0
        while True:
            await asyncio.sleep(_EVERY)
            doing, seen = await asyncio.to_thread(_newest, going.run, seen)
            if doing is None:
                continue
            await self._tell(going, doing, before)
            if time.monotonic() - last_event >= _EVENT_EVERY:
                last_event = time.monotonic()
                await self._record(going, doing)

    async def _tell(self, going: Going, doing: Doing, before: tasks.Spent) -> None:
        await self._outbox.show_progress(
            Progress(
                project=going.project.name,
                task=str(going.task.id),
                text=doing.text,
                answers=going.task.key,
                started_at=going.task.started_at,
                tokens=before.tokens + doing.tokens,
                cost_usd=before.cost_usd + doing.cost_usd,
            )
        )

    async def _record(self, going: Going, doing: Doing) -> None:
        await self._database.write(
            lambda connection: events.append(
                connection,
                "task.progress",
                project=going.project.name,
                task=str(going.task.id),
                run=going.run.run,
                text=doing.text,
            )
        )
        self._log.committed()


def _newest(run: RunFolder, seen: int) -> tuple[Doing | None, int]:
    """What the log says newest after `seen` bytes of it, and the bytes seen now."""
    try:
        with open(run.file("log"), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= seen or size > _MOST_LOG:
                return None, seen
            file.seek(seen)
            data = file.read(size - seen)
    except FileNotFoundError:
        return None, seen
    whole = data.rfind(b"\n") + 1
    lines = [line for line in parse_lines(data[:whole]) if line.get("type") == "progress"]
    if not lines:
        return None, seen + whole
    newest = lines[-1]
    tokens = int(min(max(0.0, number_of(newest, "tokens")), _MOST_TOKENS))
    text = text_of(newest, "text")
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return Doing(text, tokens, max(0.0, number_of(newest, "cost_usd"))), seen + whole


def ending(how: str, started_at: str, ended_at: float, spent: tasks.Spent) -> str:
    """The line with which a task's progress ends: `done in 3 min 12 s · 34.5k tokens · $0.12`."""
    if not started_at:
        return how
    word = "in" if how == "done" else "after"
    parts = [f"{how} {word} {_duration(ended_at - clock.seconds(started_at))}"]
    parts += [_tokens(spent.tokens)] if spent.tokens else []
    parts += [_price(spent.cost_usd)] if spent.cost_usd > 0 else []
    return " · ".join(parts)


def _duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _tokens(count: int) -> str:
    if count < 1000:
        return f"{count} tokens"
    return f"{count / 1000:.1f}k tokens" if count < 999_950 else f"{count / 1e6:.1f}M tokens"


def _price(usd: float) -> str:
    return f"${usd:.2f}" if usd >= 0.01 else "under $0.01"
