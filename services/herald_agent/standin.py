"""The stand-in: a scripted agent that speaks the CLI's stream-json, for trying Herald out and for fast tests.

It says in every answer that it is the stand-in, and understands, in the operator's own words (what follows the line
`--- message ---` of the prompt, else the whole prompt):

    create FILE: TEXT    write TEXT and a newline into FILE, make its folders, commit
    sleep N              wait N seconds and say so each second; obey messages that come meanwhile, `wake up` ends it
    fail                 end as a crash, without a result
    say TEXT             answer TEXT
    anything else        append it to NOTES.md and commit

For tests, only with CLAUDE_STANDIN_SHELL=1 in its environment: `shell COMMAND` runs COMMAND and answers its output.

A process of its own, started with `-I -S`: it imports the standard library alone, and nothing from the workspace.
"""

import json
import os
import select
import sys
import time
from typing import Any

MARK = "--- message ---"
"""The line of a prompt after which the operator's own words stand."""

FURTHER = "While you work, a further message came from "
"""Begins a message to an agent at work; its words follow, each line quoted."""

_QUOTE = "> "
_PREFIX = "Task:\n"
_SHOWN = 200
_INTRODUCTION = "I am the stand-in, a script and no model."


class Interrupted(Exception):
    """The driver asked to stop."""


class Refused(Exception):
    """The stand-in does not do that; the text says why."""


class Inbox:
    """Messages from the driver, by line."""

    def __init__(self) -> None:
        self._buffer = b""
        self._open = True

    def next(self, patience: float | None = None) -> dict[str, Any] | None:
        """The next message; None at the end, or when `patience` seconds are over."""
        until = None if patience is None else time.monotonic() + patience
        while b"\n" not in self._buffer:
            left = None if until is None else max(0.0, until - time.monotonic())
            sources = [0] if self._open else []
            if (not sources and left is None) or not (select.select(sources, [], [], left)[0]):
                return None
            data = os.read(0, 1 << 20)
            self._open = bool(data)
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message = json.loads(line)
        return message if isinstance(message, dict) else {}


class StandIn:
    """One session."""

    def __init__(self, session: str) -> None:
        self._session = session
        self._inbox = Inbox()

    def serve(self) -> int:
        """Answer messages until the input is closed; returns the exit code."""
        code = 0
        while (message := self._inbox.next()) is not None:
            if message.get("type") == "user":
                code = self._turn(message)
        return code

    def _turn(self, message: dict[str, Any]) -> int:
        self._tell("system", subtype="init", cwd=os.getcwd(), model="stand-in", tools=[])
        started = time.monotonic()
        words = self._hear(message)
        try:
            answer = self._answer(words)
        except Interrupted:
            self._result(started, subtype="error_during_execution", is_error=True, errors=["interrupted"])
            return 1
        self._say(f"{_INTRODUCTION} {answer}")
        self._result(started, subtype="success", is_error=False, result=f"{_INTRODUCTION} {answer}")
        return 0

    def _obey(self, words: str) -> str:
        command, _, rest = words.partition(" ")
        command, rest = command.lower(), rest.strip()
        if command == "create" and ":" in rest:
            name, _, text = rest.partition(":")
            return create(name.strip(), text.strip())
        if command == "sleep" and rest.replace(".", "", 1).isdigit():
            return self._sleep(float(rest))
        if command == "say":
            return rest
        if words.lower() == "fail":
            sys.stderr.write("the stand-in was told to fail\n")
            sys.stderr.flush()
            os._exit(70)
        if command == "shell" and os.environ.get("CLAUDE_STANDIN_SHELL") == "1":
            return self._shell(rest)
        return note(words)

    def _sleep(self, seconds: float) -> str:
        began = time.monotonic()
        slept = 0
        answers: list[str] = []
        while (left := began + seconds - time.monotonic()) > 0:
            message = self._inbox.next(max(0.0, min(began + slept + 1 - time.monotonic(), left)))
            if message is not None and message.get("type") == "user":
                words = self._hear(message)
                if words.lower() == "wake up":
                    return " ".join([f"I was woken after {slept:g} of {seconds:g} s.", *answers])
                answers.append(f"Meanwhile I was told: {words[:_SHOWN]!r}. {self._answer(words)}")
                continue
            self._tell_if_interrupted(message)
            if message is None:
                slept += 1
                self._say(f"slept {min(slept, seconds):g} of {seconds:g} s")
        return " ".join([f"I slept {seconds:g} s.", *answers])

    def _hear(self, message: dict[str, Any]) -> str:
        """Take up a message, and say so as the CLI does; returns the operator's words."""
        self._tell("user", message=message["message"], uuid=message.get("uuid"), isReplay=True)
        return own_words(str(message["message"]["content"]))

    def _answer(self, words: str) -> str:
        try:
            return self._obey(words)
        except Refused as reason:
            return f"I refuse: {reason}"

    def _tell_if_interrupted(self, message: dict[str, Any] | None) -> None:
        request = (message or {}).get("request") or {}
        if request.get("subtype") == "interrupt":
            answer: dict[str, Any] = {
                "subtype": "success",
                "request_id": (message or {}).get("request_id"),
                "response": {},
            }
            self._tell("control_response", response=answer)
            raise Interrupted

    def _shell(self, command: str) -> str:
        self._tell(
            "assistant", message={"content": [{"type": "tool_use", "name": "Bash", "input": {"command": command}}]}
        )
        with os.popen(f"exec </dev/null; {command}") as pipe:
            return pipe.read()

    def _say(self, text: str) -> None:
        self._tell("assistant", message={"content": [{"type": "text", "text": text}]}, parent_tool_use_id=None)

    def _result(self, started: float, **fields: object) -> None:
        milliseconds = int((time.monotonic() - started) * 1000)
        rest = {"num_turns": 1, "duration_ms": milliseconds, "total_cost_usd": 0, "permission_denials": []}
        self._tell("result", **fields, **rest, model_usage_since_last_result={})

    def _tell(self, kind: str, **fields: object) -> None:
        sys.stdout.write(json.dumps({"type": kind, **fields, "session_id": self._session}) + "\n")
        sys.stdout.flush()


def own_words(prompt: str) -> str:
    """What the operator said, out of a prompt that may frame and quote."""
    if prompt.startswith(FURTHER):
        return "\n".join(line.removeprefix(_QUOTE) for line in prompt.splitlines()[1:]).strip()
    before, mark, after = f"\n{prompt}".partition(f"\n{MARK}\n")
    return (after if mark else before.lstrip("\n").removeprefix(_PREFIX)).strip()


def create(name: str, text: str) -> str:
    """Write a file and commit it."""
    parts = name.split("/")
    if not name or name.startswith("/") or ".." in parts or any(part.lower() == ".git" for part in parts):
        raise Refused(f"{name!r} is not a path inside the project.")
    folder = os.path.dirname(name)
    root = os.path.realpath(".")
    if os.path.commonpath([root, os.path.realpath(folder or ".")]) != root:
        raise Refused(f"{name!r} leads out of the project.")
    if folder:
        os.makedirs(folder, exist_ok=True)
    _write(name, text + "\n", os.O_TRUNC)
    return f"I wrote {name}. {commit(name, f'Create {name}')}"


def note(words: str) -> str:
    """Append the message to NOTES.md and commit it."""
    _write("NOTES.md", words + "\n", os.O_APPEND)
    subject = " ".join(words.split())[:72] or "an empty message"
    return f"I noted it in NOTES.md. {commit('NOTES.md', f'Note: {subject}')}"


def _write(name: str, text: str, how: int) -> None:
    try:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | how, 0o666)
    except OSError as error:
        raise Refused(f"{name!r} cannot be written ({error.strerror}).") from error
    with open(fd, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)


def commit(name: str, message: str) -> str:
    """Commit one file; returns what came of it."""
    import subprocess

    deaf = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "commit.gpgSign=false")  # to the clone's configuration
    git = ["git", *(part for setting in deaf for part in ("-c", setting)), "--literal-pathspecs"]
    for arguments in (["add", "--force", "--", name], ["commit", "--quiet", "--message", message, "--", name]):
        done = subprocess.run([*git, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            words = (done.stderr or done.stdout).strip().splitlines()
            return f"There is no new commit: {words[-1] if words else 'git does not say why'}"
    return "It is committed."


def main(arguments: list[str]) -> int:
    """Serve one session, named on the command line as the CLI's is."""
    named = [each.partition("=")[2] for each in arguments if each.startswith(("--session-id=", "--resume="))]
    return StandIn(named[0] if named else "").serve()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
