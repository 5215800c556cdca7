"""Many messages and posts with whatever goes wrong by chance, against a ledger of its own.

`HERALD_SOAK_MESSAGES=5000 HERALD_SOAK_SEED=7 pytest tests/discord/test_soak.py` makes it long, and repeatable as far
as processes that are killed can be.
"""

import os
import random
import time
from collections import Counter

from herald import names
from tests.discord.herald import Herald
from tests.gateway.running import wait_for

MESSAGES = int(os.environ.get("HERALD_SOAK_MESSAGES", "150"))
SEED = int(os.environ.get("HERALD_SOAK_SEED", "1"))
_POSTING = ".*(messages|/webhooks/.*)"


class Soak:
    """Says, posts and breaks things; knows what has to come of it."""

    def __init__(self, herald: Herald) -> None:
        self.herald, self.discord = herald, herald.discord
        self.dice = random.Random(SEED)
        self.places = [herald.demo, herald.other, self.discord.thread(herald.approver, herald.demo, "a thread")]
        self.said: list[str] = []
        self.posts: list[tuple[str, str, str]] = []
        """channel, kind and text, in the order in which they were accepted"""
        self.happened: Counter[str] = Counter()
        self.cut = False

    def faults(self) -> None:
        """What goes wrong with requests from now on."""
        trouble = self.discord.trouble
        trouble.seed(SEED)
        trouble.fault("*", ".*", times=0, chance=0.04, retry_after=0.05)
        trouble.fault("*", ".*", times=0, chance=0.01, status=503)
        trouble.fault("*", ".*", times=0, chance=0.01, drop=True)
        trouble.fault("*", ".*", times=0, chance=0.01, drop=True, after=True)
        trouble.fault("POST", _POSTING, times=0, chance=0.08, status=502, after=True)
        trouble.fault("*", ".*", times=0, chance=0.03, delay=0.1)
        trouble.chance(doubled=0.03, hidden=0.02, seed=SEED)

    def step(self) -> None:
        """One thing that somebody does."""
        number, what = len(self.said), self.dice.random()
        self.said.append(self.discord.say(self.herald.approver, self.dice.choice(self.places), f"task {number}"))
        if what < 0.1:
            self.discord.say(self.herald.stranger, self.herald.demo, "and mine")
        elif what < 0.4:
            self.post(len(self.posts))
        elif what < 0.45:
            self.trouble(self.dice.choice(("abort", "reconnect", "invalidate", "close", "cut", "kill")))
        elif self.cut and what > 0.8:
            self.heal()

    def post(self, number: int) -> None:
        project = self.dice.choice(("demo", "other"))
        kind = self.dice.choice(("notice", "answer"))
        self.herald.post(f"post {number}", f"p{number}", kind, project, identity=project.title())
        self.posts.append((self.herald.channels[project], kind, f"post {number}"))

    def trouble(self, kind: str) -> None:
        self.happened[kind] += 1
        trouble = self.discord.trouble
        match kind:
            case "abort":
                trouble.abort()
            case "reconnect":
                trouble.reconnect()
            case "invalidate":
                trouble.invalidate()
            case "close":
                trouble.close(4000)
            case "cut":
                trouble.cut()
                self.cut = True
            case "kill":
                self.herald.kill()
                self.herald.bus.gateway()

    def heal(self) -> None:
        self.discord.trouble.heal()
        self.cut = False

    def keep_pace(self, behind: int, seconds: float) -> None:
        """Do not run ahead of Herald for longer than this: an event that was hidden is found later."""
        until = time.monotonic() + seconds
        while self.taken() < len(self.said) - behind and time.monotonic() < until:
            time.sleep(0.05)

    def taken(self) -> int:
        ledger = self.herald.bus.root / names.WORKER / "calls.jsonl"
        return ledger.read_bytes().count(b'{"method": "Enqueue"') if ledger.exists() else 0

    def settle(self) -> None:
        """Nothing goes wrong any more; wait until all is done."""
        trouble = self.discord.trouble
        trouble.chance()
        trouble.clear_faults()
        self.heal()
        trouble.invalidate()
        wanted = set(self.said)
        wait_for(
            lambda: (
                self.taken() >= len(wanted) and {each["key"] for each in self.herald.calls("Enqueue")} >= self.keys()
            ),
            300,  # beside a busy neighbour
        )
        self.herald.connected(60)
        self.herald.delivered(120)

    def keys(self) -> set[str]:
        return {f"discord:{each}" for each in self.said}


def test_no_message_is_lost_or_done_twice_and_no_post_is_lost(herald: Herald) -> None:
    soak = Soak(herald)
    herald.start()
    soak.faults()
    while len(soak.said) < MESSAGES:
        soak.step()
        if len(soak.said) % 25 == 0:
            soak.keep_pace(40, 1.0)

    soak.settle()

    tasks = Counter(each["key"] for each in herald.every_call("Enqueue"))
    assert set(tasks) == soak.keys(), f"seed {SEED}"
    again = {key: count for key, count in tasks.items() if count > 1}
    assert len(again) <= soak.happened["kill"] * len(soak.places), f"seed {SEED}: more than kills explain: {again}"
    for channel in (herald.demo, herald.other):
        shown = [each.content.strip("`\n") for each in herald.discord.posts(channel)]
        there = [each for each in shown if each.startswith("post ")]
        assert there == [text for place, _, text in soak.posts if place == channel], f"seed {SEED}"
    statuses = {each.status for each in herald.discord.requests()}
    assert len(statuses & {0, 429, 502, 503}) >= 2, f"seed {SEED}: nothing went wrong"
    assert len(soak.happened) >= 3, "nothing went wrong"
    eyes = [each for each in soak.said if "👀" not in herald.discord.message(each).reactions]
    assert eyes == [], f"seed {SEED}: without eyes"
