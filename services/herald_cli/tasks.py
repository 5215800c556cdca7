"""run, queue, cancel: tasks."""

import json
import os
import queue
import sys
import threading
from argparse import Namespace
from typing import Any

from herald.bus.blocking import call, stream
from herald.errors import HeraldError, Invalid
from herald_cli.output import clock, line_of, print_json, print_json_line, print_note, print_table

_EXIT_OF = {"done": 0, "failed": 1, "parked": 1, "blocked": 3, "cancelled": 5}
"""States in which a task ends, and what `run --follow` exits with."""

_LOOK_EVERY = 2.0
"""Seconds without an event after which the task itself is looked at."""


def run(arguments: Namespace) -> int:
    """`heraldctl run`."""
    key = arguments.key or f"heraldctl-{os.urandom(12).hex()}"
    events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    if arguments.follow:
        threading.Thread(target=_listen, args=(events,), daemon=True).start()
    parameters = {"key": key, "project": arguments.project, "text": _text_of(arguments.text)}
    enqueued = call("worker", "Enqueue", parameters)
    if not arguments.follow:
        if arguments.json:
            print_json(enqueued)
        else:
            known = "" if enqueued["created"] else ", known already"
            print(f"task {enqueued['task']}, {enqueued['ahead']} ahead of it{known}")
        return 0
    return _follow(enqueued["task"], events, as_json=arguments.json)


def show_queue(arguments: Namespace) -> int:
    """`heraldctl queue`."""
    parameters = {"project": arguments.project, "ended": arguments.ended, "limit": arguments.limit}
    tasks = call("worker", "ListTasks", parameters)["tasks"]
    if arguments.json:
        print_json(tasks)
    elif not tasks:
        print("no task has ended yet" if arguments.ended else "nothing is queued or running")
    else:
        print_table(
            (task["id"], task["project"], task["state"], clock(task["created_at"]), line_of(task["text"])[:60])
            for task in tasks
        )
    return 0


def cancel(arguments: Namespace) -> int:
    """`heraldctl cancel`."""
    if not arguments.task and not arguments.project:
        raise Invalid("name a task (`heraldctl queue` lists them) or a project (--project)")
    parameters = {"task": arguments.task, "project": arguments.project, "running": arguments.running}
    task = call("worker", "Cancel", parameters)
    if arguments.json:
        print_json(task)
    else:
        print(f"task {task['id']} of {task['project']}: {task['state']}")
    return 0


def _text_of(argument: str) -> str:
    """The text of a task; `-` is stdin. Bytes that are no UTF-8 are replaced."""
    data = sys.stdin.buffer.read() if argument == "-" else os.fsencode(argument)
    return data.decode(errors="replace")


def _listen(events: "queue.SimpleQueue[dict[str, Any]]") -> None:
    """Put the worker's new events into the queue; when the stream breaks, the task is still looked at."""
    try:
        for event in stream("worker", "Watch", {"since": -1}):
            events.put(event)
    except HeraldError as error:
        print_note(f"heraldctl: {error.message}")


def _follow(task_id: str, events: "queue.SimpleQueue[dict[str, Any]]", *, as_json: bool) -> int:
    """Show what happens to a task until it ends. The task's own state decides, never an event alone."""
    while True:
        try:
            event = events.get(timeout=_LOOK_EVERY)
        except queue.Empty:
            event = None
        if event is not None and event["task"] != task_id:
            continue
        if event is not None:
            print_json_line(event) if as_json else print_note(_event_line(event))
        task = call("worker", "GetTask", {"task": task_id})
        if task["state"] in _EXIT_OF:
            summary = f": {line_of(task['summary'])}" if task["summary"] else ""
            print_json_line(task) if as_json else print(f"{task['state']}{summary}")
            return _EXIT_OF[task["state"]]


def _event_line(event: dict[str, Any]) -> str:
    data = json.loads(event["data"] or "{}")
    words = data.get("text") or ", ".join(f"{name} {value}" for name, value in data.items())
    return line_of(f"{event['at'][11:19]} {event['kind']} {words}")
