"""The try command: from its options to its exit code."""

import argparse
import os
import shutil
import signal
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

from herald import clock
from herald.bus import blocking
from herald.errors import HeraldError
from herald_try import agent, environment, project, settling, units
from herald_try.conditions import Missing
from herald_try.console import Console
from herald_try.inetd import Inetd
from herald_try.pair import InetdEnded, InetdProcess, stop_within
from herald_try.place import Place
from herald_try.posts import Follower
from herald_try.syntax import SyntaxProblem

_UNITS = Path(__file__).resolve().parents[2] / "units"
_PROGRAMS = os.path.dirname(sys.executable)
_RELOAD_DEADLINE = 60.0


class Interrupted(BaseException):
    """A signal asks the command to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(options: argparse.Namespace) -> int:
    """The whole life of a try; returns the exit code."""
    _end_on_signals(_interrupt)
    try:
        _check_programs()
        place = Place(options.state)
        try:
            return _within(place, options)
        finally:
            place.remove()
    except Missing as missing:
        sys.stderr.write(f"herald-try: {missing}\n")
        return 3
    except Interrupted as interrupted:
        if interrupted.number == signal.SIGINT and sys.stdin.isatty():
            return 0  # the ordinary end of a chat
        return 128 + interrupted.number


def _check_programs() -> None:
    if shutil.which("git") is None:
        raise Missing("git is not installed: `apt-get install git` installs it")
    if not os.access(os.path.join(_PROGRAMS, "herald-worker"), os.X_OK):
        raise Missing("Herald's programs are not installed: `./install.sh try` installs them")


def _within(place: Place, options: argparse.Namespace) -> int:
    name = project.choose(place, options.project)
    chosen = agent.choose(options.agent, os.environ, os.path.join(place.state, "agent"))
    os.environ.update(environment.of_herald(place))  # this process is a caller of the bus too
    boot_id = str(uuid.uuid4())
    begun = clock.now()
    inetd = InetdProcess(_inetd(place, boot_id, chosen))
    _end_on_signals(_interrupt_then(inetd.kill))
    try:
        sys.stderr.write(f"agent: {chosen.kind} ({chosen.reason})\n")
        _compile(name)
        return _converse(place, name, boot_id, begun)
    except InetdEnded:
        sys.stderr.write("herald-try: the inetd has ended: everything is stopped\n")
        return 1
    finally:
        inetd.stop()


def _inetd(place: Place, boot_id: str, chosen: agent.Agent) -> Callable[[Callable[[], None]], None]:
    try:
        known = units.load(_UNITS, _relocation(place))
    except (OSError, SyntaxProblem) as error:
        raise Missing(
            f"the unit files in {_UNITS} cannot be used ({error}): `git checkout units` restores them"
        ) from error
    heraldctl = environment.command_line(place, os.path.join(_PROGRAMS, "heraldctl"))
    surroundings = environment.of_services(place, boot_id, chosen, dict(os.environ))

    def serve(listening: Callable[[], None]) -> None:
        inetd = Inetd(
            known,
            runtime=place.runtime,
            state=place.state,
            environment=surroundings,
            kept=place.locks,
            stop_within=stop_within(),
        )
        inetd.listen()
        sys.stderr.write(f"bus: {place.bus}\nheraldctl: {heraldctl}\n")
        sys.stderr.flush()
        if known.not_in_force:
            inetd.output.line("inetd", f"not in force in this mode: {', '.join(known.not_in_force)}")
        for problem in known.problems:
            inetd.output.line("inetd", f"{problem}, ignoring")
        listening()
        inetd.run()

    return serve


def _relocation(place: Place) -> Callable[[str], str]:
    def relocated(path: str) -> str:
        for installed, here in (("/run/herald/", place.bus), ("/opt/herald/venv/bin/", _PROGRAMS)):
            if path.startswith(installed):
                return os.path.join(here, path.removeprefix(installed))
        return path

    return relocated


def _compile(name: str) -> None:
    """Put the configuration in force and tell what is wrong with it."""
    try:
        compiled = blocking.call("config", "Reload", deadline=_RELOAD_DEADLINE)
    except HeraldError as error:
        sys.stderr.write(f"configuration: {error.message}\n")
        return
    for each in compiled["problems"]:
        where = f"{each['file']}:{each['line']}" if each["line"] else each["file"]
        sys.stderr.write(f"configuration: {where}: {each['field']}: {each['message']}\n")
    for notice in compiled["notices"]:
        sys.stderr.write(f"configuration: {notice}\n")
    if not compiled["applied"]:
        if not compiled["generation"]:
            raise Missing(f"project {name} cannot be used, see above: `$EDITOR` on the named file helps")
        sys.stderr.write("configuration: the one before stays in force\n")


def _converse(place: Place, name: str, boot_id: str, begun: str) -> int:
    interactive = sys.stdin.isatty()
    source = os.fdopen(os.dup(0), "rb")
    prompt = f"{name}> " if interactive else ""
    follower = Follower(os.path.join(place.own, "cursor"), name, prompt)
    follower.start()
    console = Console(name, boot_id, follower)
    tally = settling.Tally(os.path.join(place.own, "events"), begun)
    if interactive:
        console.chat(source, prompt)
    else:
        console.take_lines(source)
    return settling.finish(follower, tally, console.undelivered)


def _end_on_signals(handler: Callable[[int, object], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup stays nohup
            signal.signal(number, handler)


def _interrupt(number: int, _: object) -> None:
    raise Interrupted(number)


def _interrupt_then(kill: Callable[[], None]) -> Callable[[int, object], None]:
    """The first signal ends the conversation and lets services stop, a further one kills them."""
    first = True

    def handler(number: int, _: object) -> None:
        nonlocal first
        if not first:
            kill()
            return
        first = False
        raise Interrupted(number)

    return handler
