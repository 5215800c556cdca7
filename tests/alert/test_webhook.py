"""A crash of the gateway is posted by a webhook of the system channel; of anything else by the gateway."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.alert.ending import Place

_GATEWAY = "herald-gateway.service"
_TOKEN = "webhook-token-that-nobody-may-see"


class Channel(ThreadingHTTPServer):
    """The end of a webhook: answers with `status`, or not at all until it is closed."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.silent = False
        self.over = threading.Event()
        self.posts: list[tuple[str, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/v10/webhooks/17/{_TOKEN}"


class _Handler(BaseHTTPRequestHandler):
    server: Channel

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, json.loads(body)))
        if self.server.silent:
            self.server.over.wait(30)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def channel() -> Iterator[Channel]:
    with Channel() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


def left_by_gateway(place: Place, text: str) -> str:
    folder = place.root / "state" / "gateway"
    folder.mkdir(parents=True)
    path = folder / "alert-webhook"
    path.write_text(text)
    return str(path)


def left_for_gateway(place: Place) -> dict[str, Any]:
    [path] = place.folder.glob("2*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_a_crash_of_the_gateway_is_posted_and_the_gateway_is_told_so(place: Place, channel: Channel) -> None:
    left_by_gateway(place, channel.url + "\n")
    place.says("the last line\n")
    said = place.crash(_GATEWAY)

    [(path, body)] = channel.posts
    assert path == f"/api/v10/webhooks/17/{_TOKEN}?wait=true"
    assert body["content"].startswith(f"{_GATEWAY} crashed at ")
    assert body["content"].endswith("```\nthe last line\n```")
    assert body["allowed_mentions"] == {"parse": []}
    assert left_for_gateway(place)["posted"] is True
    assert _TOKEN not in said


def test_long_and_hostile_last_lines_make_one_message_that_discord_takes(place: Place, channel: Channel) -> None:
    left_by_gateway(place, channel.url)
    place.says("".join(f"``` @everyone {n} {'x' * 280}\n" for n in range(20)))
    place.crash(_GATEWAY)

    [(_, body)] = channel.posts
    assert len(body["content"]) <= 2000
    assert body["content"].count("```") == 2


def test_a_crash_of_any_other_unit_is_left_to_the_gateway(place: Place, channel: Channel) -> None:
    left_by_gateway(place, channel.url)
    place.crash("herald-worker.service")

    assert channel.posts == []
    assert left_for_gateway(place)["posted"] is False


@pytest.mark.parametrize("status", [404, 429, 500])
def test_what_discord_does_not_take_is_left_to_the_gateway(place: Place, channel: Channel, status: int) -> None:
    left_by_gateway(place, channel.url)
    channel.status = status
    said = place.crash(_GATEWAY)

    assert left_for_gateway(place)["posted"] is False
    assert f"HTTP status {status}" in said
    assert _TOKEN not in said


def test_a_server_that_is_silent_or_gone_costs_some_seconds_and_nothing_else(place: Place, channel: Channel) -> None:
    left_by_gateway(place, channel.url)
    channel.silent = True
    assert "timed out" in place.crash(_GATEWAY)
    assert left_for_gateway(place)["posted"] is False


def test_without_a_webhook_nothing_is_said_of_it(place: Place) -> None:
    assert "webhook" not in place.crash(_GATEWAY)
    assert left_for_gateway(place)["posted"] is False


@pytest.mark.parametrize("content", ["", "nonsense", "file:///etc/passwd", "http:///no-host", "\xff\xfe"])
def test_what_is_no_address_is_told_and_harms_nothing(place: Place, content: str) -> None:
    left_by_gateway(place, content)

    assert "cannot be posted by webhook" in place.crash(_GATEWAY)
    assert left_for_gateway(place)["posted"] is False


def test_a_link_and_a_pipe_in_its_place_are_not_followed(place: Place, channel: Channel) -> None:
    path = left_by_gateway(place, "")
    os.unlink(path)
    elsewhere = place.root / "elsewhere"
    elsewhere.write_text(channel.url)
    os.symlink(elsewhere, path)
    assert "cannot be posted by webhook" in place.crash(_GATEWAY)

    os.unlink(path)
    os.mkfifo(path)
    place.forget(601)
    assert "is no regular file" in place.crash(_GATEWAY)
    assert channel.posts == []
