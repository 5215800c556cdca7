"""How the gateway connects to Discord, and what it says when it cannot."""

import sqlite3
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from herald_gateway import schema
from herald_gateway.discord_chat import budget
from herald_gateway.discord_chat.budget import Exhausted
from tests.discord.herald import Herald
from tests.gateway.running import Bus, posts, wait_for

_PORTAL = "https://discord.com/developers/applications"


def launch(herald: Herald) -> None:
    """Start without waiting for a connection."""
    herald.bus.peer("worker", herald.script)
    herald.bus.gateway()


def notices(herald: Herald) -> list[str]:
    return [each["text"] for each in posts() if each["key"].startswith("discord-")]


@pytest.mark.parametrize("token", [None, "", " \n"])
def test_without_a_token_discord_is_never_loaded(bus: Bus, token: str | None) -> None:
    folder = bus.root / "credentials"
    folder.mkdir()
    if token is not None:
        (folder / "discord_token").write_text(token)
    bus.environment["CREDENTIALS_DIRECTORY"] = str(folder)
    process = bus.gateway()

    assert posts() == []

    libraries = Path(f"/proc/{process.pid}/maps").read_text()
    assert "sqlite3" in libraries
    assert "aiohttp" not in libraries


def test_a_server_that_is_not_discords_own_is_named_in_the_status(gateway: Herald) -> None:
    assert gateway.connection() == f"connected to {gateway.discord.api} instead of Discord's own server"
    status = gateway.status()
    assert status["chat"] == "discord"
    assert status["duty"].startswith(f"Discord connected to {gateway.discord.api} instead")
    gateway.discord.wait(lambda: gateway.status()["latency"] >= 0)
    assert " ms, outbox 0" in gateway.status()["duty"]


def test_attempts_that_reach_no_hello_are_close_together_and_told_once(herald: Herald) -> None:
    discord = herald.discord
    discord.trouble.fault("GET", "/users/@me", times=0, status=503)
    launch(herald)

    discord.wait(lambda: len(discord.requests("GET", "/users/@me")) >= 8, 40)
    times = [each.at for each in discord.requests("GET", "/users/@me")]
    discord.trouble.clear_faults()
    herald.connected()

    assert max(later - sooner for sooner, later in pairwise(times)) < 4.2
    assert discord.gateway().identifies == 1
    (told,) = notices(herald)
    assert "Discord cannot be reached since" in told
    assert "status 503" in told
    assert herald.posted(herald.system, "Discord cannot be reached since")
    assert herald.journal().count("Discord cannot be reached since") == 1
    assert "connected to Discord again" in herald.journal()


def test_a_server_that_accepts_and_does_not_answer_is_tried_every_few_seconds(herald: Herald) -> None:
    discord = herald.discord
    discord.trouble.fault("GET", "/users/@me", times=2, hold=True)
    launch(herald)

    herald.connected()

    times = [each.at for each in discord.requests("GET", "/users/@me")]
    assert len(times) == 3
    assert max(later - sooner for sooner, later in pairwise(times)) < 5
    discord.trouble.clear_faults()


def test_a_refused_token_is_tried_again_when_another_one_is_there(herald: Herald) -> None:
    discord = herald.discord
    herald.token("a.wrong.token")
    launch(herald)
    discord.wait(lambda: herald.connection().startswith("refused"))
    since = len(discord.requests("GET", "/users/@me"))
    discord.wait(lambda: notices(herald))
    (told,) = notices(herald)
    assert _PORTAL in told
    assert _PORTAL in herald.status()["duty"]
    assert _PORTAL in herald.journal()

    herald.token(discord.token)
    herald.connected()

    assert since == 1
    assert discord.gateway().identifies == 1
    assert len(notices(herald)) == 1


def test_another_server_in_the_configuration_is_connected_to(herald: Herald) -> None:
    discord, api = herald.discord, herald.discord.api
    discord.api = api.replace("/api/v10", "/nowhere/v10")
    herald.configure()
    launch(herald)
    discord.wait(lambda: "status 404" in herald.connection())

    discord.api = api
    herald.configure(generation=2)

    herald.connected()


def test_a_connection_moves_when_the_server_in_the_configuration_does(gateway: Herald) -> None:
    discord, url = gateway.discord, gateway.discord.gateway_url
    discord.gateway_url = url.replace("127.0.0.1", "127.0.0.2")  # the same server by another address
    gateway.configure(generation=2)

    discord.wait_gone()
    discord.gateway_url = url
    gateway.configure(generation=3)

    gateway.connected()
    said = discord.say(gateway.approver, gateway.demo, "over here")
    gateway.eyes(said)


def test_the_budget_of_logins_is_kept_over_restarts_and_stops_before_discord_does(herald: Herald) -> None:
    herald.start()
    herald.stop()
    assert len(herald.state("SELECT at FROM identifies")) == 1
    now = time.time()
    fill(herald, [now - 80000 + number for number in range(949)])
    herald.bus.gateway()

    herald.discord.wait(lambda: "logins" in herald.connection())

    assert "950 logins" in herald.connection()
    assert herald.discord.gateway().identifies == 1
    assert len(herald.state("SELECT at FROM identifies")) == 950


def fill(herald: Herald, times: list[float]) -> None:
    connection = sqlite3.connect(herald.bus.root / "state" / "gateway" / "gateway.sqlite")
    with connection:
        connection.executemany("INSERT INTO identifies (at) VALUES (?)", [(each,) for each in times])
    connection.close()


def test_a_malformed_event_after_each_login_makes_the_pauses_longer(gateway: Herald) -> None:
    discord = gateway.discord
    logins: list[float] = []
    for number in range(3):
        discord.wait(lambda number=number: discord.gateway().identifies == number + 1, 40)  # type: ignore[misc]
        gateway.connected()
        logins.append(time.monotonic())
        discord.trouble.dispatch("MESSAGE_CREATE", {"id": "1"})
        discord.wait_gone()
    said = discord.say(gateway.approver, gateway.demo, "in between")

    gateway.tasks(1, 40)
    gateway.eyes(said)
    assert all(later - sooner > 4 for sooner, later in pairwise(logins))
    assert "cannot be read" in gateway.journal()


def test_a_gateway_that_is_killed_begins_a_new_session_and_misses_nothing(gateway: Herald) -> None:
    said = gateway.discord.say(gateway.approver, gateway.demo, "just before")
    gateway.kill()
    gateway.restart()
    gateway.eyes(said)


@pytest.fixture
def identifies() -> Iterator[sqlite3.Connection]:
    """The table of logins, without Discord."""
    made = sqlite3.connect(":memory:", isolation_level=None)
    for script in schema.MIGRATIONS:
        made.executescript(script)
    yield made
    made.close()


def spend(identifies: sqlite3.Connection, ages: list[float]) -> float:
    now = time.time()
    identifies.executemany("INSERT INTO identifies VALUES (?)", [(now - age,) for age in ages])
    pause = budget.pause(identifies)
    budget.spend(identifies)
    return pause


def test_two_logins_are_five_seconds_apart(identifies: sqlite3.Connection) -> None:
    assert 2.9 < spend(identifies, [2.0]) <= 3.0
    assert 4.8 < spend(identifies, []) <= 5.0


def test_old_logins_and_those_of_a_clock_that_was_wrong_do_not_count(identifies: sqlite3.Connection) -> None:
    assert spend(identifies, [90000.0] * 949 + [-200000.0] * 10) == 0.0
    assert identifies.execute("SELECT count(*) FROM identifies").fetchone() == (1,)


def test_scarce_logins_are_minutes_apart(identifies: sqlite3.Connection) -> None:
    with pytest.raises(Exhausted) as raised:
        spend(identifies, [100.0] * 450)
    assert 75 < raised.value.seconds <= 80


def test_when_nearly_none_is_left_the_oldest_has_to_pass_first(identifies: sqlite3.Connection) -> None:
    with pytest.raises(Exhausted) as raised:
        spend(identifies, [86000.0] + [3600.0] * 949)
    assert 390 < raised.value.seconds <= 400
    assert "resets the bot's token" in str(raised.value)


def test_a_gateway_whose_connection_is_refused_still_serves_the_terminal(herald: Herald) -> None:
    herald.token("a.wrong.token")
    launch(herald)
    herald.discord.wait(lambda: herald.connection().startswith("refused"))
    herald.post("hello", "p1")
    wait_for(lambda: [each for each in posts() if each["key"] == "p1"])
    assert herald.status()["outbox"] >= 1


def test_the_latency_is_not_that_of_the_heartbeat_before(herald: Herald) -> None:
    herald.discord.trouble.settings(heartbeat_ms=1000)
    herald.start()

    until = time.monotonic() + 4
    while time.monotonic() < until:
        assert herald.status()["latency"] < 0.9
        time.sleep(0.1)
