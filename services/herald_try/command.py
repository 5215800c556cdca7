"""The try command: from its options to its exit code."""

import argparse
import os
import shlex
import shutil
import signal
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from herald import clock, names, snapshot
from herald.bus import blocking
from herald.errors import HeraldError
from herald_try import agent, environment, project, settling, units
from herald_try.conditions import Missing
from herald_try.console import Console
from herald_try.inetd import Inetd
from herald_try.pair import InetdEnded, InetdProcess, Serve, stop_within
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
    if sys.stdin is None:  # closed by the caller: nothing else may get its number
        os.open("/dev/null", os.O_RDONLY)
    try:
        _check_programs()
        place = Place(options.state)
        try:
            return _within(place, options)
        finally:
            place.remove()
    except Missing as missing:
        _tell(f"herald-try: {missing}")
        return 3
    except Interrupted as interrupted:
        if interrupted.number == signal.SIGINT and os.isatty(0):
            _tell("")
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
        configuration = _compile()  # first, so that whoever reads the next two lines finds the project in force
        heraldctl = environment.command_line(place, os.path.join(_PROGRAMS, "heraldctl"))
        _tell(f"bus: {place.bus}", f"heraldctl: {heraldctl}", f"agent: {chosen.kind} ({chosen.reason})")
        _tell(*_problems(configuration, name))
        inetd.speak()
        return _converse(place, name, boot_id, begun)
    except InetdEnded:
        _tell("herald-try: the inetd has ended: everything is stopped")
        return 1
    finally:
        inetd.stop()


def _inetd(place: Place, boot_id: str, chosen: agent.Agent) -> Serve:
    try:
        known = units.load(_UNITS, _relocation(place))
    except (OSError, SyntaxProblem) as error:
        raise Missing(
            f"the unit files in {_UNITS} cannot be used ({error}): `git checkout units` restores them"
        ) from error
    surroundings = environment.of_services(place, boot_id, chosen, dict(os.environ))

    def serve(listening: Callable[[], None], silence: int) -> None:
        inetd = Inetd(
            known,
            runtime=place.runtime,
            state=place.state,
            environment=surroundings,
            kept=place.locks,
            stop_within=stop_within(),
        )
        inetd.output.hold(silence)
        inetd.listen()
        if known.not_in_force:
            held_back = f"{len(known.not_in_force)} keys of the unit files (users, credentials, sandbox, limits)"
            inetd.output.line("inetd", f"not in force in this mode: {held_back}; the agent runs as you")
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


def _compile() -> dict[str, Any]:
    """Put the configuration in force; the reply of the compiler."""
    try:
        return blocking.call("config", "Reload", deadline=_RELOAD_DEADLINE)
    except HeraldError as error:
        in_force = os.path.exists(names.snapshot_path())
        return {"applied": False, "generation": int(in_force), "problems": [], "notices": [error.message]}


def _problems(compiled: dict[str, Any], name: str) -> list[str]:
    """What is wrong with the configuration, as lines. Raises Missing when none is in force."""
    lines = [
        f"configuration: {each['file']}:{each['line']}: {each['field']}: {each['message']}"
        for each in compiled["problems"]
    ]
    lines += [f"configuration: {notice}" for notice in compiled["notices"]]
    if not compiled["applied"]:
        if not compiled["generation"]:
            _tell(*lines)
            raise Missing(f"project {name} cannot be used for the reasons above: edit the files named there")
        lines.append("configuration: the one before stays in force")
    return lines


def _tell(*lines: str) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.stderr.flush()


def _converse(place: Place, name: str, boot_id: str, begun: str) -> int:
    interactive = os.isatty(0)
    source = os.fdopen(os.dup(0), "rb")
    prompt = f"{name}> " if interactive else ""
    follower = Follower(os.path.join(place.own, "cursor"), name, prompt, _fetch_command(place, name))
    follower.start()
    console = Console(name, boot_id, follower)
    tally = settling.Tally(os.path.join(place.own, "events"), begun)
    if interactive:
        console.chat(source, prompt)
    else:
        console.take_lines(source)
    return settling.finish(follower, tally, console.undelivered)


def _fetch_command(place: Place, name: str) -> str:
    """What brings a card into the person's clone, up to the card's number; empty while the project is unknown."""
    known = snapshot.read().projects.get(name)
    if known is None:
        return ""
    heraldctl = environment.command_line(place, os.path.join(_PROGRAMS, "heraldctl"))
    return f"{heraldctl} {shlex.join(['fetch', '--into', known.path])}"


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
