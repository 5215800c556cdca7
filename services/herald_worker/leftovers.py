"""What nobody asks for any more is dropped after a while: of cards that are over, and of workers that were killed."""

import asyncio
import os
import re
import shutil
import sqlite3
import time

from herald import clock, durable, journal, names
from herald.database import Database
from herald.errors import HeraldError
from herald_worker import pointers
from herald_worker.mirror import Mirror
from herald_worker.mirror_folder import read_remarks, trace_age, write_remarks

_LIFETIME = 30 * 86400.0
"""Seconds. `!push` may propose what was refused again; until then its commits are offered as known."""

_YOUNG = 3600.0
_RUNS = "refs/runs/"
_PLACE = re.compile(r"-[0-9a-f]{8}$")
"""What the name of a run's ref has in the mirror of a submodule besides the run."""

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


async def drop(database: Database) -> None:
    """Drop all that is old enough."""
    over, live = await database.read(_cards)
    folder = os.path.join(names.state_folder(names.WORKER), "mirrors")
    found = os.listdir(folder) if os.path.isdir(folder) else []
    for name in sorted(each.removesuffix(".git") for each in found if each.endswith(".git")):
        try:
            await _drop_runs(Mirror(name), over, live)
        except HeraldError as error:
            journal.warning(f"what is over cannot be looked at: {error.message}", project=name)
    await asyncio.to_thread(_drop_temporaries)


def _cards(connection: sqlite3.Connection) -> tuple[set[str], set[str]]:
    """The runs whose cards have been over for long, and those whose cards have not."""
    rows = connection.execute("SELECT run, ended_at FROM proposals").fetchall()
    before = clock.text(time.time() - _LIFETIME)
    over = {row["run"] for row in rows if row["ended_at"] and row["ended_at"] < before}
    return over, {row["run"] for row in rows} - over


async def _drop_runs(mirror: Mirror, over: set[str], live: set[str]) -> None:
    async with mirror.beside() as beside:
        listed = await beside.git("for-each-ref", "--format=%(refname)", _RUNS)
        await beside.demand(listed)
        for ref in listed.out.decode().splitlines():
            run = _PLACE.sub("", ref.removeprefix(_RUNS))
            without_card = run not in live and trace_age(os.path.join(mirror.path, ref)) > _LIFETIME
            if run in over or without_card:
                await beside.demand(await beside.git("update-ref", "-d", ref))
                journal.info(f"{ref} is dropped: its card is over", project=mirror.project)
        for commit in read_remarks(mirror.path):
            if trace_age(os.path.join(mirror.path, "remarks", commit)) > _LIFETIME:
                asked = await beside.git("for-each-ref", "--count=1", f"--contains={commit}", _RUNS)
                if not asked.out.strip():
                    write_remarks(mirror.path, commit, [])


def _drop_temporaries() -> None:
    """Folders in which a killed worker asked git about large files. A project may have such a name, too: then what is
    in its folder is named by commits."""
    top = pointers.folder()
    for entry in os.scandir(top) if os.path.isdir(top) else ():
        if not entry.name.startswith("tmp") or trace_age(entry.path) < _YOUNG:
            continue
        if not entry.is_dir(follow_symlinks=False):
            durable.with_no_trace(entry.path)
        elif not any(map(_COMMIT.fullmatch, os.listdir(entry.path))):
            shutil.rmtree(entry.path, ignore_errors=True)
