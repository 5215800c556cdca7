"""Ten thousand queued tasks: as quick and as small as none, in order, and each can be cancelled."""

import asyncio
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from herald.bus import blocking, client
from herald.interfaces.worker import Worker
from tests.support.herald import Herald, Site

_TASKS = 10_000
_CONNECTIONS = 16
_CALLS = 60


def quickest(call: Callable[[], object]) -> float:
    """Milliseconds of a call: the middle one of many, in the quietest of three moments of the machine."""
    medians = []
    for _ in range(3):
        times = []
        for _ in range(_CALLS):
            begun = time.perf_counter()
            call()
            times.append(time.perf_counter() - begun)
        medians.append(statistics.median(times) * 1000)
    return min(medians)


def fill(first: int, last: int) -> None:
    """Queue tasks from several connections at once; the numbers are their keys."""

    async def queue(numbers: range) -> None:
        worker = client.peer(Worker, 60.0)
        for number in numbers:
            await worker.Enqueue(key=f"n{number}", project="sample", text=f"say {number}")
        worker.close()  # type: ignore[attr-defined]

    async def queue_all() -> None:
        await asyncio.gather(*(queue(range(first + each, last, _CONNECTIONS)) for each in range(_CONNECTIONS)))

    asyncio.run(queue_all())


def measure(herald: Herald, name: str) -> tuple[float, float]:
    """Milliseconds of a status and of an enqueue; what was queued for that is cancelled again."""
    count = iter(range(3 * _CALLS))
    shown = quickest(lambda: blocking.call("worker", "GetStatus"))
    queued = quickest(lambda: herald.enqueue(f"say {name}", key=f"{name}-{next(count)}"))
    for number in range(3 * _CALLS):
        herald.call("worker", "Cancel", task=herald.enqueue("known", key=f"{name}-{number}"))
    return shown, queued


def test_a_long_queue_costs_neither_time_nor_memory_and_keeps_its_order(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        running = herald.enqueue("sleep 600")
        site.events.wait("task.running", running)
        worker = psutil.Process(herald.pid("worker"))
        fill(0, 300)  # what is loaded once is loaded now
        small = worker.memory_info().rss
        empty = measure(herald, "few")
        begun = time.perf_counter()
        fill(300, _TASKS)
        took = time.perf_counter() - begun
        full = measure(herald, "many")
        grown = worker.memory_info().rss - small
        print(f"status {empty[0]:.2f} -> {full[0]:.2f} ms, enqueue {empty[1]:.2f} -> {full[1]:.2f} ms,"
              f" {(_TASKS - 300) / took:.0f} tasks/s, +{grown >> 10} KiB")  # fmt: skip

        assert herald.status()["queued"] == _TASKS
        assert full[0] <= 2 * empty[0] + 0.5
        assert full[1] <= 2 * empty[1] + 0.5
        assert grown < 8 << 20
        listed = herald.call("worker", "ListTasks", limit=1000)["tasks"][1:]
        ids = [int(task["id"]) for task in listed]
        assert ids == sorted(ids)
        cancelled = herald.call("worker", "Cancel", project="sample")
        assert cancelled["id"] == listed[0]["id"]
        herald.call("worker", "Cancel", task=running)
        for task in listed[1:4]:
            assert herald.ended(task["id"]) == "done"
        done = [event["task"] for event in site.events.of("task.done")]
        assert done == sorted(done, key=int)
        assert done[0] == listed[1]["id"]
        herald.kill("worker")
        assert herald.status()["queued"] <= _TASKS - 4
        site.events.wait("task.done", count=len(done) + 2)
        done = [event["task"] for event in site.events.of("task.done")]
        assert done == sorted(done, key=int)
        site.going = True
        herald.process.terminate()
        herald.wait_until_gone()
