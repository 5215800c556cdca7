"""Posts on stdout, each once, also over kills of the command."""

import os
import re
import signal
import sys
import threading
import time
from typing import Any

from herald import durable
from herald.bus import blocking
from herald.errors import HeraldError

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PAUSE = 0.1
_SHOWN = "\N{REPLACEMENT CHARACTER}"


def lines_of(post: dict[str, Any]) -> list[str]:
    """A post as lines of stdout. Further lines are set in, so that no text can pass as a post of its own."""
    label = f"[{post['project'] or 'herald'}]"
    lines = [f"{label}   {line}" for line in post["text"].splitlines()]
    if post["revision"] and not post["votable"]:
        del lines[1:]  # what became of it: the rest was printed with it
    if lines:
        lines[0] = lines[0].replace("   ", " ", 1)
    if post["file"]:
        lines.append(f"{label} {_file_line(post['file'])}")
    return lines or [f"{label} "]


def _file_line(path: str) -> str:
    name = os.path.basename(path)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            count = len(file.read().removesuffix("\n"))
    except OSError as error:
        return f"FILE {name} (cannot be read: {error.strerror}): {path}"
    return f"FILE {name} ({count} characters): {path}"


class Follower(threading.Thread):
    """Follows the gateway's posts and prints them; progress goes to stderr.

    The id of the last printed post is kept in a file. A kill between print and record repeats that one post.
    """

    def __init__(self, cursor_path: str, project: str, prompt: str = "", fetch: str = "") -> None:
        """`fetch` is the command line that brings a card into the person's clone, up to its number."""
        super().__init__(name="posts", daemon=True)
        self._cursor_path = cursor_path
        self._project = project
        self._prompt = prompt
        self._fetch = fetch
        self._answered: set[str] = set()
        self._changed = threading.Condition()
        self.cursor = _read_cursor(cursor_path)
        self.problem = ""
        """Why posts do not come at the moment."""

    def run(self) -> None:
        """Follow for ever; a gateway that restarts is followed again from the cursor."""
        while True:
            try:
                for watched in blocking.stream("gateway", "Watch", {"since": self.cursor}):
                    self.problem = ""
                    self._take(watched)
            except HeraldError as error:
                self.problem = error.message
            time.sleep(_PAUSE)

    def _take(self, watched: dict[str, Any]) -> None:
        post, progress = watched.get("post"), watched.get("progress")
        if progress is not None:
            self._aside(f"[{progress['project']}] … {' '.join(progress['text'].split())}")
        if post is None:
            return  # one at or below the cursor is of a new log: the one that the cursor belongs to is gone
        self._print(post)
        if self._fetch and post["votable"] and post["proposal"] and not post["revision"]:
            self._aside(f"as a branch of your clone: {self._fetch} {post['proposal']}")
        try:
            durable.write_atomic(self._cursor_path, b"%d\n" % post["id"])
        except OSError as error:
            self._aside(f"{self._cursor_path} cannot be written ({error.strerror}): posts may be printed again")
        with self._changed:
            self.cursor = post["id"]
            if post["answers"] and post["last"]:
                self._answered.add(post["answers"])
            self._changed.notify_all()

    def _print(self, post: dict[str, Any]) -> None:
        text = "".join(f"{line}\n" for line in lines_of(post))
        if sys.stdout.isatty():
            text = _CONTROLS.sub(_SHOWN, text)
        if self._prompt:
            _tell("\r\x1b[K")
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError:  # nobody reads posts any more: there is nothing left to do here
            os.kill(os.getpid(), signal.SIGTERM)
            raise SystemExit from None  # of this thread; the post counts as not printed
        if self._prompt:
            _tell(self._prompt)

    def _aside(self, text: str) -> None:
        text = _CONTROLS.sub(_SHOWN, text)
        _tell(f"\r\x1b[K{text}\n{self._prompt}" if self._prompt else f"{text}\n")

    def wait_for_answer(self, message: str) -> None:
        """Return when the last answer to a message has been printed."""
        with self._changed:
            self._changed.wait_for(lambda: message in self._answered)

    def wait_until(self, cursor: int) -> None:
        """Return when all posts up to this id have been printed."""
        with self._changed:
            self._changed.wait_for(lambda: self.cursor >= cursor)


def _tell(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _read_cursor(path: str) -> int:
    try:
        return int(durable.read_limited(path, 100))
    except FileNotFoundError:
        return 0
    except ValueError:  # damaged: posts are printed again rather than lost
        durable.set_aside(path)
        return 0
