"""Files that came with tasks: checked and kept before the task is, and gone when nothing needs them."""

import asyncio
import io
import os
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from herald.attachments import read
from herald.database import Database
from herald.errors import Invalid
from herald_worker import tasks
from herald_worker.attachments import Attachments, path_of
from herald_worker.schema import MIGRATIONS
from herald_worker.tasks import NewTask
from tests.support.processes import wait_for
from tests.worker.rows import ADA


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HERALD_STATE", str(tmp_path))
    return tmp_path


def folder(state: Path) -> list[str]:
    return sorted(path.name for path in (state / "worker/attachments").glob("*"))


def tar(path: Path, *names: str) -> int:
    """An open descriptor of a tar with these files."""
    with tarfile.open(path, "w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))
    return os.open(path, os.O_RDONLY)


@asynccontextmanager
async def opened(state: Path) -> AsyncIterator[tuple[Database, Attachments]]:
    """A database and the attachments over it, tidied for as long as the block lasts."""
    (state / "worker").mkdir(exist_ok=True)
    database = Database(str(state / "worker/worker.sqlite"), MIGRATIONS)
    await database.open()
    attachments = Attachments(database)
    tidying = asyncio.create_task(attachments.tidy())
    try:
        yield database, attachments
    finally:
        tidying.cancel()
        await asyncio.wait([tidying])
        await database.close()


async def until(left: list[str], state: Path) -> None:
    await asyncio.to_thread(wait_for, lambda: folder(state) == left, f"{left} is left")


def queue(name: str) -> NewTask:
    return NewTask("m1", "sample", "operator", "look", ADA, [], attachments=name)


def test_a_tar_lives_as_long_as_its_task(state: Path) -> None:
    async def live() -> None:
        async with opened(state) as (database, attachments):
            name = await attachments.keep(tar(state / "given.tar", "a.txt", "b.txt"))
            assert folder(state) == [name]
            task = (await database.write(lambda db: tasks.enqueue(db, queue(name))))["task"]
            attachments.settled(name)
            for _ in range(5):
                attachments.committed()
                await asyncio.sleep(0.01)
            fd = os.open(path_of(name), os.O_RDONLY)
            assert [each.name for each in read(fd)] == ["a.txt", "b.txt"]
            os.close(fd)
            await database.write(lambda db: tasks.cancel_queued(db, None, task, "Ada"))
            attachments.committed()
            await until([], state)

    asyncio.run(live())


def test_one_whose_task_was_there_already_goes_again(state: Path) -> None:
    async def live() -> None:
        async with opened(state) as (database, attachments):
            await database.write(lambda db: tasks.enqueue(db, queue("")))
            name = await attachments.keep(tar(state / "given.tar", "a.txt"))
            await database.write(lambda db: tasks.enqueue(db, queue(name)))
            attachments.settled(name)
            await until([], state)

    asyncio.run(live())


@pytest.mark.parametrize("names", [("../up",), ("a", "a"), tuple(str(n) for n in range(11))])
def test_what_is_refused_leaves_nothing(state: Path, names: tuple[str, ...]) -> None:
    async def live() -> None:
        async with opened(state) as (_, attachments):
            with pytest.raises(Invalid):
                await attachments.keep(tar(state / "given.tar", *names))
            await until([], state)

    asyncio.run(live())


def test_a_tar_without_files_is_none(state: Path) -> None:
    async def live() -> None:
        async with opened(state) as (_, attachments):
            assert await attachments.keep(tar(state / "given.tar")) == ""
            assert folder(state) == []

    asyncio.run(live())


def test_what_a_kill_left_between_the_file_and_the_task_goes_at_the_next_start(state: Path) -> None:
    (state / "worker/attachments").mkdir(parents=True)
    for name in ("needed.tar", "left.tar"):
        (state / "worker/attachments" / name).touch()

    async def live() -> None:
        database = Database(str(state / "worker/worker.sqlite"), MIGRATIONS)
        await database.open()
        await database.write(lambda db: tasks.enqueue(db, queue("needed.tar")))
        await database.close()
        async with opened(state):
            await until(["needed.tar"], state)

    asyncio.run(live())
