"""reload, config check."""

import os
import sys
from argparse import Namespace

from herald import membership, names
from herald.bus.blocking import call
from herald.errors import Denied, Invalid, NotFound
from herald_cli.output import print_json, print_note

_COMPILE_DEADLINE = 60.0


def reload(arguments: Namespace) -> int:
    """`heraldctl reload`."""
    compiled = call("config", "Reload", deadline=_COMPILE_DEADLINE)
    if arguments.json:
        print_json(compiled)
        return 0 if compiled["applied"] else Invalid.exit_code
    for notice in compiled["notices"]:
        print_note(notice)
    if compiled["applied"]:
        print(f"configuration {compiled['generation']} {'is in force' if compiled['changed'] else 'has not changed'}")
        return 0
    for each in compiled["problems"]:
        place = f"{each['file']}:{each['line']}" if each["line"] else each["file"]
        print_note(": ".join(part for part in (place, each["field"], each["message"]) if part))
    raise Invalid("the configuration has errors; the one before stays in force")


def check(_arguments: Namespace) -> int:
    """`heraldctl config check`: the compiler that belongs to this command line, without a running Herald."""
    compiler = os.path.join(os.path.dirname(sys.executable), "herald-config")
    folder = names.config_folder()
    if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK):
        raise Denied(membership.refusal(folder))
    if not os.access(compiler, os.X_OK):
        raise NotFound(f"{compiler} is missing; install Herald again with ./install.sh")
    os.execv(compiler, (compiler, "--check"))
