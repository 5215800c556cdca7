"""What a message means: a vote, a command, or a task; in which order it is acted on; which right it needs."""

from collections.abc import Mapping
from typing import NamedTuple

from herald.people import may, role_of
from herald.snapshot import Project, Role, Snapshot
from herald_gateway.arguments import read_command
from herald_gateway.commands import Invocation, Misuse
from herald_gateway.operations import TABLE
from herald_gateway.records import MessageKind
from herald_gateway.votes import Choice, vote_of

_ASIDE = "?"
"""Ends the name of a lane beside a project's: what changes nothing does not wait for what does."""

_EVERY_PROJECT = "*"
"""No project has this name: only a right in all projects holds for it."""


class Vote(NamedTuple):
    """A vote, on the newest open proposal of the channel's project unless the message names one."""

    choice: Choice


class Plain(NamedTuple):
    """Anything else: a task in the words of the message."""

    text: str


Meaning = Vote | Invocation | Misuse | Plain


def read_message(text: str, project: str, projects: Mapping[str, Project]) -> Meaning:
    """The meaning of a message in the channel of `project`."""
    choice = vote_of(text)
    if choice is not None:
        return Vote(choice)
    if text.lstrip().startswith("!"):
        return read_command(text, project, TABLE, projects)
    return Plain(text)


def is_command(text: str) -> bool:
    """Whether this is one of Herald's commands, rightly used or not: in other channels all else is left alone."""
    words = text.strip().split(maxsplit=1)
    return bool(words) and words[0].startswith("!") and words[0][1:].lower() in TABLE


def kind_of(meaning: Meaning) -> MessageKind:
    """What a message was taken for, as the one who said it is told."""
    if isinstance(meaning, Vote):
        return "vote"
    return "task" if isinstance(meaning, Plain) else "command"


def lane_of(meaning: Meaning, project: str) -> str:
    """Messages of one lane are acted on one after the other."""
    if isinstance(meaning, Misuse) or (isinstance(meaning, Invocation) and meaning.command.effect == "none"):
        return project + _ASIDE
    if isinstance(meaning, Invocation):
        return meaning.given.project or meaning.given.values.get("name", "")
    return project


def refusal_of(meaning: Meaning, author: str, project: str, snapshot: Snapshot) -> str:
    """Why this author may not say this: one line, empty if nothing speaks against it."""
    needed: Role = "operator"
    everywhere = False
    if isinstance(meaning, Misuse):
        needed = "reader"
    elif isinstance(meaning, Vote):
        needed = "approver"
    elif isinstance(meaning, Invocation):
        needed, project = meaning.command.right, meaning.given.project or project
        everywhere = meaning.command.everywhere
    role = role_of(snapshot, author, _EVERY_PROJECT if everywhere else project)
    if may(role, needed):
        return ""
    where = " in all projects" if everywhere else f" in {project}" if project else ""
    has = role or ("one in some projects only" if everywhere else "none")
    return f"This needs the right {needed}{where}; you have {has} (herald.yaml, operators)."
