"""chat, posts: the terminal as a chat."""

import os
import random
import sys
import threading
import time
from argparse import Namespace
from typing import Any

from herald.bus.blocking import call, stream
from herald.errors import HeraldError, Unavailable
from herald_cli.output import clock, print_json, print_note

_SHOWN = 50
_ATTEMPTS = 5


def show_posts(arguments: Namespace) -> int:
    """`heraldctl posts`: those above --since, else the newest."""
    since = arguments.since
    if since is None:
        since = max(0, call("gateway", "GetStatus")["posts"] - arguments.limit)
    parameters = {"project": arguments.project, "since": since, "limit": arguments.limit}
    found = call("gateway", "ListPosts", parameters)["posts"]
    if arguments.json:
        print_json(found)
        return 0
    for post in found:
        print(f"{post['id']}  {clock(post['at'])}  {_shown(post)}")
    return 0


def chat(arguments: Namespace) -> int:
    """`heraldctl chat`: each line is a message; posts appear as they come."""
    talk = _Talk(arguments.project)
    newest = call("gateway", "GetStatus")["posts"]
    threading.Thread(target=talk.listen, args=(newest,), daemon=True).start()
    for line in sys.stdin.buffer:
        text = line.decode(errors="replace").strip()
        if text:
            talk.say(text)
    if not sys.stdin.isatty():
        talk.wait()
    return 0


class _Talk:
    """One person in one channel."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._answered = threading.Condition()
        self._open: set[str] = set()
        self._lost: HeraldError | None = None

    def say(self, text: str) -> None:
        """Say one message; the same key until it is taken, so that it is said once."""
        key = f"heraldctl-{os.urandom(12).hex()}"
        with self._answered:
            self._open.add(key)
        said = _say({"key": key, "project": self._project, "text": text})
        if said["kind"] == "ignored":
            print_note(f"heraldctl: ignored, you have no right in {self._project}")
            self._close(key)

    def listen(self, since: int) -> None:
        """Show posts and progress; resumes at the last post seen when the gateway was restarted."""
        failures = 0
        while failures < _ATTEMPTS:
            try:
                for watched in stream("gateway", "Watch", {"since": since}):
                    failures = 0
                    if watched["post"] is not None:
                        since = watched["post"]["id"]
                        self._show(watched["post"])
                    elif sys.stderr.isatty() and watched["progress"]["project"] == self._project:
                        print_note(f"... {watched['progress']['text']}")
            except HeraldError as error:
                failures += 1
                self._lost = error if failures == _ATTEMPTS else None
                time.sleep(random.uniform(0.1, 0.5))
        with self._answered:
            self._open.clear()
            self._answered.notify_all()

    def wait(self) -> None:
        """Until everything that was said is answered. Raises the error that ended the listening."""
        with self._answered:
            self._answered.wait_for(lambda: not self._open)
        if self._lost is not None:
            raise self._lost

    def _show(self, post: dict[str, Any]) -> None:
        if post["project"] in (self._project, ""):
            print(_shown(post), flush=True)
        if post["last"]:
            self._close(post["answers"])

    def _close(self, key: str) -> None:
        with self._answered:
            self._open.discard(key)
            self._answered.notify_all()


def _say(parameters: dict[str, Any]) -> dict[str, Any]:
    for _ in range(_ATTEMPTS - 1):
        try:
            return call("gateway", "Say", parameters)
        except Unavailable:
            time.sleep(random.uniform(0.1, 0.5))
    return call("gateway", "Say", parameters)


def _shown(post: dict[str, Any]) -> str:
    head = f"[{post['project'] or 'herald'}] {post['identity'] or 'Herald'}: "
    text = post["text"]
    if post["revision"] and not post["votable"]:
        text = text.partition("\n")[0]  # what became of it: the rest was shown with it
    return f"{head}{text}" + (f"\n{post['file']}" if post["file"] else "")
