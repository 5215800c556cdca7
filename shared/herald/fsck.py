"""What git's check may find in the objects of a repository, by the ids of the messages that the installed git knows.

History is taken as it is: whoever has a remote can hardly rewrite it, and `git clone` takes it too. So for the
remote's history every message is ignored but those that protect: they name what a checkout or a command of git would
act on. A project's `git.fsck.accept` lets these in as well. The ids come from git, because some of its commands end
at an id that they don't know.
"""

import functools
import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from herald.errors import Conflict, Failed

_PROTECTING = re.compile(r"hasdot|hasdotdot|hasdotgit|fullpathname|gitmodules\w*|gitattributes\w*|symlink\w*")
"""Names by which a checkout leaves the work tree, and files that git obeys."""

_UNDEMOTABLE = ("nulInHeader", "unterminatedHeader")
"""git refuses these whatever it is told, and to tell it is an error."""

_OF_REFS = re.compile(r"Ref|^ref|Head(?!er)")
"""Newer versions of git check refs, too: these ids are no matter of history, and git's own levels stay."""

_NO_IDS = ("skipList",)
_LISTED = re.compile(r"^fsck\.([A-Za-z0-9]+)$", re.MULTILINE)
_SECONDS = 20.0
_ENVIRONMENT = {"LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
_FOUND = re.compile(r"^(error|warning): object ([0-9a-f]{40,64}): (\w+): ([^\n]*)", re.MULTILINE)
_MOST_SHOWN = 120


class Finding(NamedTuple):
    """One message of git's check."""

    object: str
    id: str
    words: str
    refuses: bool
    """False: git only mentions it."""


@functools.cache
def known() -> tuple[str, ...]:
    """Every id of the installed git, as git spells it. Raises Failed when git does not list them."""
    import subprocess  # here, because herald-git is on the path of every message and asks only when there is news

    try:
        done = subprocess.run(
            ["git", "help", "--config"],
            cwd="/",  # git reads the configuration of the repository that it finds around it
            env={"PATH": os.environ.get("PATH", os.defpath)} | _ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise Failed("git is not installed; `apt install git` provides it") from error
    except subprocess.TimeoutExpired as error:
        raise Failed(f"`git help --config` timed out after {_SECONDS:.0f} s") from error
    found = [name for name in _LISTED.findall(done.stdout.decode(errors="replace")) if name not in _NO_IDS]
    if not found:
        raise Failed("git does not list the ids of its checks (`git help --config`); install git 2.39 or later")
    return tuple(found)


def is_protecting(name: str) -> bool:
    """Whether the message names something that a checkout or a command of git would act on."""
    return _PROTECTING.fullmatch(name.lower()) is not None and _OF_REFS.search(name) is None


def is_undemotable(name: str) -> bool:
    """Whether git refuses it whatever it is told."""
    return name.lower() in map(str.lower, _UNDEMOTABLE)


def ignored(accepted: Iterable[str] = ()) -> list[str]:
    """The ids that the remote's history may have. Accepted ids that the installed git doesn't know are left out."""
    let_in = {name.lower() for name in accepted}
    return [name for name in _demotable() if not is_protecting(name) or name.lower() in let_in]


def ignored_of_agents(accepted: Iterable[str]) -> list[str]:
    """The ids that objects made by an agent may have: those that a person accepted and that protect nothing."""
    let_in = {name.lower() for name in accepted}
    return [name for name in _demotable() if not is_protecting(name) and name.lower() in let_in]


def for_fetch(accepted: Iterable[str]) -> list[str]:
    """Options before `fetch` with which git takes a remote's history."""
    return [word for name in ignored(accepted) for word in ("-c", f"fetch.fsck.{name}=ignore")]


def for_index_pack(accepted: Iterable[str]) -> str:
    """The option of `index-pack` with which it takes a remote's history."""
    return "--strict=" + ",".join(f"{name}=ignore" for name in ignored(accepted))


def for_damage() -> list[str]:
    """Options before `fsck` with which it complains about damage only: what was let in once is none."""
    return [word for name in _demotable() for word in ("-c", f"fsck.{name}=ignore")]


def check(name: str) -> str:
    """The id as git spells it. Raises ValueError with what to do when it cannot be accepted."""
    try:
        spelled = {each.lower(): each for each in known()}
    except Failed:
        return name  # that git is missing is told elsewhere, and once
    if is_undemotable(name):
        raise ValueError("cannot be accepted: git always refuses such objects; remove it from the list")
    if name.lower() not in spelled:
        raise ValueError("is not an id of the installed git; `git help --config | grep ^fsck` lists them")
    return spelled[name.lower()]


def findings(words: str) -> list[Finding]:
    """What git's check said in these words, each once."""
    found = (
        Finding(match[2], match[3], match[4].strip()[:_MOST_SHOWN], match[1] == "error")
        for match in _FOUND.finditer(words)
    )
    return list(dict.fromkeys(found))


def refusal_of_history(words: str, project: str) -> Conflict | None:
    """Why the remote's history was refused; None when git's check is not the cause."""
    found = [each for each in findings(words) if each.refuses]
    if not found:
        return None
    said = f"the remote's history is refused: {_shown(found)}."
    ids = sorted({each.id for each in found})
    if any(is_undemotable(each) for each in ids):
        return Conflict(f"{said} git refuses such objects always; rewrite the remote's history without it.")
    return Conflict(
        f"{said} A checkout could act on it. If you trust this history, add {', '.join(ids)} to `git.fsck.accept`"
        f" in projects/{project}.yaml, then send the task again."
    )


def refusal_of_agent(found: list[Finding]) -> Conflict:
    """Why objects that an agent made were refused."""
    said = f"git's check refused an object that the agent made: {_shown(found)}."
    again = "Have the agent make its commits again without it"
    ids = sorted({each.id for each in found if not is_protecting(each.id) and not is_undemotable(each.id)})
    if len(ids) < len({each.id for each in found}):
        return Conflict(f"{said} {again}; `git.fsck.accept` covers this only in the remote's history.")
    return Conflict(f"{said} {again}, or add {', '.join(ids)} to `git.fsck.accept` in the project's file.")


def _shown(found: list[Finding]) -> str:
    first = found[0]
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return f"object {first.object}: {first.id} ({first.words}){more}"


def _demotable() -> list[str]:
    return [name for name in known() if not is_undemotable(name) and not _OF_REFS.search(name)]
