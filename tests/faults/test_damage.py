"""State files damaged between two starts: Herald starts, says so, sets aside, loses no more than the damage took."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.support.herald import Herald, Site


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size * 2 // 3)


def flip(file: Path) -> None:
    """Change some bytes in the middle; of a database where a page begins, which shows."""
    data = bytearray(file.read_bytes())
    middle = len(data) // 2 // _PAGE * _PAGE or len(data) // 2
    for index in range(middle, min(middle + 24, len(data))):
        data[index] ^= 0x5A
    file.chmod(0o640)
    file.write_bytes(data)


def empty(file: Path) -> None:
    os.truncate(file, 0)


_PAGE = 4096
HARM = {"cut": cut, "flipped": flip, "emptied": empty}


def packs(site: Site, folder: str) -> list[Path]:
    found = sorted((site.state / folder).glob("**/sample.git/objects/pack/*.pack"))
    assert found
    return found


def small_files(site: Site) -> list[Path]:
    found = [site.state / "config" / name for name in ("snapshot.json", "ledger.json")]
    return [*found, *(site.state / "try").iterdir(), *(site.state / "agent" / "checkouts").glob("*")]


def set_aside(site: Site) -> set[str]:
    return {f"{path.name} in {path.parent}" for path in site.state.rglob("*.damaged-*")}


def next_run(site: Site, number: int) -> Herald:
    """A whole thread after the damage."""
    herald = site.start(project=True)
    herald.say(f"create {number}.txt: x", "+1")
    posts = herald.finish(0)
    assert "Pushed — agent/sample-" in posts, f"{posts}\n{herald.stderr}"
    assert any(f"{number}.txt" in site.files(branch) for branch in site.pushed())
    return herald


@pytest.mark.parametrize("how", HARM)
def test_whatever_is_damaged_the_next_start_works_and_says_what_it_set_aside(tmp_path: Path, how: str) -> None:
    with Site(tmp_path) as site:
        site.whole = False
        herald = site.start()
        herald.say("create first.txt: x", "+1", "say " + "long " * 2000)
        herald.finish()
        rounds: list[tuple[str, Callable[[], Iterable[Path]]]] = [
            ("worker.sqlite", lambda: [site.state / "worker" / "worker.sqlite"]),
            ("gateway.sqlite", lambda: [site.state / "gateway" / "gateway.sqlite"]),
            ("sample.git", lambda: packs(site, "worker")),
            ("sample.git", lambda: packs(site, "git")),
            ("snapshot.json", lambda: small_files(site)),
        ]
        for number, (name, files) in enumerate(rounds):
            before = set_aside(site)
            for file in files():
                HARM[how](file)
            herald = next_run(site, number)
            if how == "emptied" and name.endswith(".sqlite"):
                continue  # to SQLite an empty file is a new database
            aside = set_aside(site) - before
            assert any(each.startswith(name) for each in aside), (name, aside, herald.stderr)
        branches = [update[0] for update in site.remote.updates()]
        assert len(branches) == len(set(branches)) == 1 + len(rounds)


def test_a_damaged_page_takes_only_its_own_tasks(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.whole = False
        herald = site.start()
        running = herald.enqueue("sleep 600")
        site.events.wait("task.running", running)
        queued = [herald.enqueue(f"say {number} " + "x" * 300) for number in range(120)]
        site.going = True
        herald.process.terminate()
        herald.wait_until_gone()
        database = site.state / "worker" / "worker.sqlite"
        data = database.read_bytes()
        at = data.index(b"say 60 ")
        page = at // _PAGE * _PAGE
        database.write_bytes(data[:page] + b"\x5a" * 100 + data[page + 100 :])

        herald = site.start()
        left = [task["id"] for task in herald.call("worker", "ListTasks", limit=1000)["tasks"]]
        assert left == sorted(left, key=int)
        assert running in left
        lost = set(queued) - set(left)
        assert 0 < len(lost) <= _PAGE // 300
        assert any(name.startswith("worker.sqlite") for name in set_aside(site))
        assert "damaged" in herald.stderr
        herald.process.terminate()
        herald.wait_until_gone()
