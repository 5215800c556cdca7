"""The control connection to a running server, and the server as a process of its own."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
_T = TypeVar("_T")


class RefusedError(Exception):
    """The server would not do it: what a test asked for cannot be done by a user."""


class Connection:
    """Calls commands of the control interface; a connection for each, so any thread may."""

    def __init__(self, addresses: dict[str, str]) -> None:
        self.api = addresses["api"]
        self.gateway_url = addresses["gateway"]
        self._control = urlsplit(addresses["control"]).netloc

    def call(self, command: str, /, **arguments: Any) -> Any:
        connection = http.client.HTTPConnection(self._control, timeout=60)
        try:
            body = json.dumps(arguments)
            connection.request("POST", f"/{command}", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise RefusedError(answer["error"])
        return answer

    def wait(self, condition: Callable[[], _T], seconds: float = 20.0, what: str = "") -> _T:
        """The first true result of the condition, looked at again whenever something has happened in Discord.

        It is looked at twice a second also, for the sake of what happens elsewhere.
        """
        until = time.monotonic() + seconds
        seen = self.call("wait", since=0, seconds=0)
        while not (found := condition()):
            left = until - time.monotonic()
            assert left > 0, f"it did not come to pass: {what or condition}"
            seen = self.call("wait", since=seen, seconds=min(left, 0.5))
        return found


def start(*arguments: str) -> tuple["subprocess.Popen[str]", dict[str, str]]:
    """Start a server. It ends when its standard input is closed, at the latest with the process that started it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fake_discord", "--with-input", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the server did not start"
    addresses: dict[str, str] = json.loads(line)
    return process, addresses


def stop(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.wait(20)
    process.stdout.close()
