"""Commits of a run that no branch has: they get one, as nothing else keeps them."""

from herald_agent.git import Git
from herald_agent.record import Going
from herald_agent.reference import check_hash

_LONG = 300.0


def give_branches(git: Git, going: Going, notes: list[str]) -> None:
    """Before HEAD goes elsewhere, and in an own workspace linked working trees go. Raises Failed, OSError."""
    for head in _heads(git, worktrees=going.own):
        kept = ("--branches", "--remotes=origin", going.base)
        found = git.attempt("rev-list", "--max-count=1", head, "--not", *kept, "--", deadline=_LONG)
        if found.code == 0 and found.out.strip():
            name = _free(git, going.branch)
            git("update-ref", f"refs/heads/{name}", head)
            notes.append(f"What the agent committed on no branch is on {name} now; `!push` proposes it.")


def _heads(git: Git, *, worktrees: bool) -> list[str]:
    """Commits that are checked out on no branch. What git says there is no more than a claim."""
    found = [] if git.branch() else [git.commit_of("HEAD")]
    if worktrees:
        listed = git.attempt("worktree", "list", "--porcelain").out.decode("utf-8", "replace")
        for entry in listed.split("\n\n"):
            lines = entry.splitlines()
            if "detached" in lines:
                found += [line.removeprefix("HEAD ") for line in lines if line.startswith("HEAD ")]
    return [head for head in dict.fromkeys(found) if check_hash(head)]


def _free(git: Git, branch: str) -> str:
    number = 2
    while git.head_of(f"{branch}-{number}"):
        number += 1
    return f"{branch}-{number}"
