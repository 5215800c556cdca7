"""Submodules in a person's folder: brought to the base's commit for a run where that loses nothing, and put back.

Nothing is reset, cleaned or fetched there. During a run the HEAD of a submodule names no branch, so that what the
agent commits in it moves none of the person's. One that cannot be brought is out of the way of `git add` meanwhile.
"""

from herald_agent import submodules
from herald_agent.git import Git
from herald_agent.submodule_checkout import hold_one
from herald_agent.submodules import Standing, Submodule

_LONG = 300.0


def bring(git: Git, notes: list[str]) -> list[str]:
    """Bring those that are initialised to their gitlinks' commits; returns those that stay elsewhere, for `hide`.

    Raises Failed, OSError.
    """
    stay = []
    for each in submodules.walk(git):
        if not each.is_repository:
            continue
        head = each.git.commit_of("HEAD")
        if head == each.wanted:
            each.git("update-ref", "--no-deref", "HEAD", head)
        elif reason := _not_brought(each, head):
            stay.append(each.path)
            there = f"{head[:12]}, not at {each.wanted[:12]} as the base has it"
            notes.append(f"The submodule {each.path} stays at {there}: {reason}.")
    links = submodules.gitlinks(git) if stay else {}
    return [path for path in stay if path in links]


def put_back(git: Git, came: dict[str, Standing], branch: str, notes: list[str]) -> None:
    """Have each submodule where the person had it; what the run committed there gets a branch.

    Raises Failed, OSError.
    """
    for each in submodules.walk(git):
        before = came.get(each.path)
        if before is None or not each.is_repository or not before.head:
            continue
        head = each.git.commit_of("HEAD")
        if (head, each.git.branch()) == (before.head, before.branch):
            continue
        hold_one(each.git, branch)
        if head != before.head and _has_changes(each.git):
            notes.append(
                f"The submodule {each.path} was not put back to {before.head[:12]}: it has uncommitted changes."
            )
            continue
        named = before.branch if before.branch and each.git.head_of(before.branch) == before.head else ""
        if (
            head != before.head
            and each.git.attempt(
                *("checkout", "--quiet", "--no-overwrite-ignore", "--detach", before.head, "--"), deadline=_LONG
            ).code
        ):
            notes.append(f"The submodule {each.path} could not be put back to {before.head[:12]}.")
        elif named:
            each.git("symbolic-ref", "HEAD", f"refs/heads/{named}")


def hide(git: Git, paths: list[str], *, hidden: bool) -> None:
    """Have `git add` and `git commit -a` pass over submodules, or not any more. Raises Failed."""
    links = submodules.gitlinks(git) if paths else {}
    for path in paths:
        if path in links:
            git("update-index", "--skip-worktree" if hidden else "--no-skip-worktree", "--", path)


def _not_brought(submodule: Submodule, head: str) -> str:
    """Bring one to its gitlink's commit; returns why it stays, empty when it is there."""
    git = submodule.git
    if git.commit_of(submodule.wanted) != submodule.wanted:
        return "that commit is not there; `git submodule update` in the folder fetches it"
    if _has_changes(git):
        return "it has uncommitted changes"
    if not git.branch() and head and not git("for-each-ref", "--count=1", f"--contains={head}"):
        return f"no branch there has {head[:12]}"
    done = git.attempt(
        "checkout", "--quiet", "--no-overwrite-ignore", "--detach", submodule.wanted, "--", deadline=_LONG
    )
    return "" if done.code == 0 else "git refuses it, because files there are in the way"


def _has_changes(git: Git) -> bool:
    return bool(git.attempt("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all").out)
