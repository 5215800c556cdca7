"""The words of the command line, and what carries each out."""

import argparse
from collections.abc import Callable

from herald import __version__
from herald.bus.limits import DEADLINE
from herald_cli import chat, configuration, discord_check, overview, proposals, tasks, wire, workspaces

Handler = Callable[[argparse.Namespace], int]
Adder = Callable[..., argparse.ArgumentParser]
"""`add_parser` of argparse: gives the group one more command."""


def parser(doc: str) -> argparse.ArgumentParser:
    """The parser; `doc` is the man page that --help shows."""
    root = argparse.ArgumentParser(
        prog="heraldctl", description=doc.strip(), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    root.add_argument("--version", action="version", version=__version__)
    commands = root.add_subparsers(metavar="COMMAND", required=True)
    for add_group in (_add_tasks, _add_proposals, _add_workspaces, _add_chat, _add_rest):
        add_group(commands.add_parser)
    return root


def _add(add: Adder, name: str, handler: Handler, help: str, *, json: bool = True) -> argparse.ArgumentParser:
    command = add(name, help=help, description=help)
    command.set_defaults(handler=handler)
    if json:
        command.add_argument("--json", action="store_true", help="print what the bus answers")
    return command


def _add_tasks(add: Adder) -> None:
    run = _add(add, "run", tasks.run, "queue a task")
    run.add_argument("project", metavar="PROJECT")
    run.add_argument("text", metavar="TEXT", help="what to do; - reads it from stdin")
    run.add_argument(
        "--follow",
        action="store_true",
        help="show progress; exit 0 done, 1 failed, 3 blocked, 5 cancelled",
    )
    run.add_argument("--key", help="the same key again is the same task")
    queue = _add(add, "queue", tasks.show_queue, "tasks in the order in which they will run")
    _add_filter(queue)
    queue.add_argument("--ended", action="store_true", help="the newest ended ones instead")
    cancel = _add(add, "cancel", tasks.cancel, "cancel a task, or the oldest queued one of a project")
    cancel.add_argument("task", metavar="TASK", nargs="?")
    cancel.add_argument("--project", metavar="PROJECT")
    cancel.add_argument("--running", action="store_true", help="the running one of the project")


def _add_proposals(add: Adder) -> None:
    vote = _add(add, "vote", proposals.vote, "vote on a proposal, or on the newest open one of a project")
    vote.add_argument("proposal", metavar="PROPOSAL", nargs="?", help="its id; may be left out when just one is open")
    vote.add_argument("vote", choices=("up", "down", "withdraw"))
    vote.add_argument("--project", metavar="PROJECT")
    vote.add_argument("--key", help="the same key again is the same vote")
    listed = _add(add, "proposals", proposals.show_proposals, "proposals that wait for a vote, newest first")
    _add_filter(listed)
    listed.add_argument("--all", action="store_true", help="also those that are decided")


def _add_workspaces(add: Adder) -> None:
    cleared = _add(add, "reset", workspaces.reset, "make a workspace anew; lists first what would be deleted")
    cleared.add_argument("--yes", action="store_true", help="do it, instead of listing what would be deleted")
    stashed = _add(add, "stash", workspaces.stash, "stash uncommitted changes in the project's folder")
    own = _add(add, "own", workspaces.own, "let the agent work in a clone of its own from now on")
    for command in (cleared, stashed, own):
        command.add_argument("given", metavar="PROJECT", nargs="?", help="may be left out when there is just one")
        command.add_argument("--project", metavar="PROJECT", help="the same")
    brought = _add(add, "fetch", _fetch, "bring a card's commits into the clone you are in, as its branch")
    brought.add_argument(
        "card", metavar="CARD", help="its id, as `heraldctl proposals` shows it, or refs/kept/... of a reset"
    )
    brought.add_argument(
        "--project", metavar="PROJECT", help="whose refs/kept/...; may be left out when there is just one"
    )
    where = brought.add_mutually_exclusive_group()
    where.add_argument("--into", metavar="DIR", help="the clone; default: the current folder")
    where.add_argument("--bundle", metavar="FILE", help="only write the commits into this file, as a git bundle")


def _add_chat(add: Adder) -> None:
    talk = _add(add, "chat", chat.chat, "chat in a project's channel, one message a line", json=False)
    talk.add_argument("project", metavar="PROJECT")
    posts = _add(add, "posts", chat.show_posts, "posts, the newest unless --since is given, oldest first")
    _add_filter(posts)
    posts.add_argument("--since", metavar="ID", type=int, help="those after this id")


def _add_rest(add: Adder) -> None:
    _add(add, "status", overview.show_status, "what Herald is doing")
    _add(add, "projects", overview.show_projects, "the projects")
    _add(add, "reload", configuration.reload, "put the changed configuration in force")
    config = add("config", help="the configuration").add_subparsers(metavar="COMMAND", required=True)
    _add(config.add_parser, "check", configuration.check, "check the files; needs no running Herald", json=False)
    discord = add("discord", help="the connection to Discord").add_subparsers(metavar="COMMAND", required=True)
    _add(discord.add_parser, "check", discord_check.check, "which permission or intent is missing, and where")
    _add_login(add)
    call = _add(add, "call", wire.call_method, "call a method of the bus", json=False)
    call.add_argument("method", metavar="INTERFACE.METHOD", help="io.herald.Worker.GetStatus")
    call.add_argument("parameters", metavar="JSON", nargs="?", default="{}", help="an object; - reads it from stdin")
    call.add_argument("--more", action="store_true", help="a method that answers more than once")
    call.add_argument("--deadline", metavar="SECONDS", type=float, default=DEADLINE)
    shown = _add(add, "introspect", wire.introspect, "describe an interface of the bus", json=False)
    shown.add_argument("interface", metavar="INTERFACE", help="io.herald.Worker")


def _add_login(add: Adder) -> None:
    log_in = _add(add, "agent-login", _log_in, "log the agent in at Anthropic (as root)", json=False)
    which = log_in.add_mutually_exclusive_group()
    which.add_argument("--status", action="store_true", help="only show who is logged in")
    which.add_argument("--logout", action="store_true", help="log out")
    which.add_argument("--console", action="store_true", help="an account of the Anthropic Console, not a subscription")


def _fetch(arguments: argparse.Namespace) -> int:
    from herald_cli import fetch  # runs git, which nobody else does

    return fetch.fetch(arguments)


def _log_in(arguments: argparse.Namespace) -> int:
    from herald_cli import login  # what it needs is heavy, and nobody else's

    return login.agent_login(arguments)


def _add_filter(command: argparse.ArgumentParser) -> None:
    command.add_argument("--project", metavar="PROJECT", help="of this project alone")
    command.add_argument("--limit", metavar="N", type=int, default=50)
