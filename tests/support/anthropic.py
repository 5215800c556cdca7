"""A peer that plays the Anthropic Messages API on the loopback, as a process of its own.

What it answers stands in the newest message of the person, in double square brackets: `[[commit a.txt hello]]`.
A scenario has one answer for each request that follows that message; the last one repeats.

    text WORDS           answer with these words
    bash COMMAND         have the agent run a shell command, then answer with its output
    write PATH WORDS     have it write a file
    commit PATH WORDS    have it write a file and commit it
    tool NAME JSON       have it use any tool with this input
    loop COMMAND         a shell command again and again
    status CODE          refuse with this HTTP status
    limit                refuse as an exhausted subscription does, reset at RESET
    too-long             refuse because the prompt is too long
    hang                 accept the request and say nothing
    cut                  break off in the middle of an answer
    drop                 close the connection without an answer

    python -m tests.support.anthropic LOG     prints its URL, appends every request to LOG as a line of JSON
"""

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

RESET = 4_102_444_800
"""When the exhausted limit of `limit` is reset: the year 2100."""

_SCENARIO = re.compile(r"\[\[(\S+) ?(.*?)\]\]", re.DOTALL)
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


class Api:
    """The caller's view of a running peer."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self._log = log

    def environment(self, **more: str) -> dict[str, str]:
        """What leads the CLI to this peer, and keeps it from trying for long."""
        plain = {"ANTHROPIC_BASE_URL": self.url, "ANTHROPIC_API_KEY": "key-of-a-test", "CLAUDE_CODE_MAX_RETRIES": "0"}
        return {**plain, **more}

    def requests(self) -> list[dict[str, Any]]:
        """The requests for an answer so far: `scenario`, `step`, `session`, `headers`, `body`."""
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        return [json.loads(line) for line in lines]

    def wait_for_request(self, scenario: str, patience: float = 30.0) -> dict[str, Any]:
        """The first request of a scenario, as soon as it is there."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            for request in self.requests():
                if request["scenario"] == scenario:
                    return request
            select.select([], [], [], 0.02)
        raise AssertionError(f"no request for {scenario} within {patience:g} s")


@contextmanager
def serve(folder: Path) -> Iterator[Api]:
    """A peer for the length of a block; its log is in `folder`."""
    log = folder / "anthropic.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.anthropic", str(log)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": ""},
        text=True,
    )
    assert process.stdout is not None
    try:
        yield Api(process.stdout.readline().strip(), log)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _texts(message: dict[str, Any]) -> list[str]:
    content = message.get("content") or []
    if isinstance(content, str):
        return [content]
    return [block["text"] for block in content if block.get("type") == "text"]


def _tool_output(messages: list[dict[str, Any]]) -> str:
    """The newest result of a tool, as text."""
    for message in reversed(messages):
        content = message.get("content")
        for block in content if isinstance(content, list) else []:
            if block.get("type") == "tool_result":
                return json.dumps(block.get("content"))
    return ""


def find_scenario(body: dict[str, Any]) -> tuple[str, str, int]:
    """The scenario of a conversation, its argument, and how many answers it has had."""
    answered = 0
    for message in reversed(body.get("messages", [])):
        if message.get("role") == "assistant":
            answered += 1
            continue
        for text in reversed(_texts(message)):
            if found := _SCENARIO.findall(text):
                return (*found[-1], answered)
    return "text", "Nothing was asked of me.", answered


def answers(scenario: str, argument: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """What a scenario answers, request by request."""
    name, _, words = argument.partition(" ")
    folder = re.search(r"working directory: (/\S+)", json.dumps(body).replace("\\n", "\n"))
    path = os.path.join(folder.group(1) if folder else "/nonexistent", name)
    written = {"tool": "Write", "input": {"file_path": path, "content": words + "\n"}}
    committed = {
        "tool": "Bash",
        "input": {"command": f"git add -A && git commit -qm 'Add {name}'", "description": "Commit"},
    }
    shell = {"tool": "Bash", "input": {"command": argument, "description": "A command"}}
    said = {"text": f"Done: {_tool_output(body.get('messages', []))}"}
    if scenario == "tool":
        return [{"tool": name, "input": json.loads(words)}, said]
    if scenario == "status":
        return [{"status": int(argument), "message": f"refused with {argument}"}]
    scenarios: dict[str, list[dict[str, Any]]] = {
        "text": [{"text": argument}],
        "bash": [shell, said],
        "write": [written, said],
        "commit": [written, committed, said],
        "loop": [shell],
        "limit": [{"status": 429, "message": "the limit is reached", "headers": _limit_headers()}],
        "too-long": [{"status": 400, "message": "prompt is too long: 214000 tokens > 200000 maximum"}],
        "hang": [{"hang": True}],
        "cut": [{"text": "The first words", "cut": True}],
        "drop": [{"drop": True}],
    }
    return scenarios[scenario]


def _limit_headers() -> dict[str, str]:
    prefix = "anthropic-ratelimit-unified"
    window = {"status": "rejected", "reset": str(RESET), "utilization": "1.0"}
    return {
        "retry-after": "3600",
        f"{prefix}-status": "rejected",
        f"{prefix}-reset": str(RESET),
        f"{prefix}-representative-claim": "five_hour",
        **{f"{prefix}-5h-{name}": value for name, value in window.items()},
        f"{prefix}-overage-status": "rejected",
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    log_path: Path
    lock = Lock()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        scenario, argument, step = find_scenario(body)
        entry = {
            "scenario": scenario,
            "step": step,
            "session": self.headers.get("x-claude-code-session-id", ""),
            "headers": dict(self.headers),
            "body": body,
        }
        with self.lock, self.log_path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")
        steps = answers(scenario, argument, body)
        try:
            self._answer(steps[min(step, len(steps) - 1)], body)
        except ConnectionError:
            self.close_connection = True

    def _answer(self, step: dict[str, Any], body: dict[str, Any]) -> None:
        if step.get("hang"):
            select.select([self.connection], [], [])  # until the caller gives up
        if step.get("hang") or step.get("drop") or (step.get("cut") and not body.get("stream")):
            self.close_connection = True
            return
        if "status" in step:
            self._refuse(step)
        elif body.get("stream"):
            self._stream(step, body)
        else:
            message = self._message(body)
            self._send_json(
                200, {**message, "content": [_block(step)], "stop_reason": _stop(step), "usage": _usage(40)}
            )

    def _refuse(self, step: dict[str, Any]) -> None:
        error = {"type": _ERRORS[step["status"]], "message": step["message"]}
        self._send_json(step["status"], {"type": "error", "error": error}, step.get("headers", {}))

    def _send_json(self, status: int, value: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, content in {**(headers or {}), "content-type": "application/json"}.items():
            self.send_header(name, content)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _message(self, body: dict[str, Any]) -> dict[str, Any]:
        plain = {"type": "message", "role": "assistant", "stop_sequence": None, "stop_reason": None}
        return {"id": f"msg_{time.monotonic_ns()}", "model": body.get("model"), "content": [], **plain}

    def _stream(self, step: dict[str, Any], body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        block = _block(step)
        self._event("message_start", message={**self._message(body), "usage": _usage(1)})
        if block["type"] == "text":
            empty, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            empty = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        self._event("content_block_start", index=0, content_block=empty)
        self._event("content_block_delta", index=0, delta=delta)
        if step.get("cut"):
            self.close_connection = True
            return
        self._event("content_block_stop", index=0)
        self._event("message_delta", delta={"stop_reason": _stop(step), "stop_sequence": None}, usage=_usage(40))
        self._event("message_stop")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, kind: str, **fields: Any) -> None:
        data = f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


def _block(step: dict[str, Any]) -> dict[str, Any]:
    if "tool" in step:
        return {"type": "tool_use", "id": f"toolu_{time.monotonic_ns()}", "name": step["tool"], "input": step["input"]}
    return {"type": "text", "text": step["text"]}


def _stop(step: dict[str, Any]) -> str:
    return "tool_use" if "tool" in step else "end_turn"


def _usage(output: int) -> dict[str, int]:
    cache = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {"input_tokens": 1000, "output_tokens": output, **cache}


def main(log: str) -> None:
    """Serve until killed."""
    _Handler.log_path = Path(log)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
