"""What a workspace has that no mirror can keep: then a reset must not delete it."""

import os
from collections.abc import Iterable

from herald import largefiles, names
from herald.bus import client
from herald.interfaces.agent import Agent, SubmoduleHead
from herald.snapshot import Project
from herald_worker import pointers
from herald_worker.commit_summary import plain
from herald_worker.mirror import Mirror

_DEADLINE = 120.0
_SHOWN = 5


async def in_submodules(project: Project, found: Iterable[SubmoduleHead]) -> list[str]:
    """A sentence for each submodule with commits that no mirror has: neither its remote, nor any card."""
    folder = os.path.join(names.state_folder(names.WORKER), "mirrors")
    there = [each for each in os.listdir(folder) if each.startswith(f"{project.name}+") and each.endswith(".git")]
    mirrors = [Mirror(each.removesuffix(".git")) for each in there]
    lacking: dict[str, list[str]] = {}
    for each in found:
        if not any([await mirror.has(each["commit"]) for mirror in mirrors]):
            lacking.setdefault(each["submodule"], []).append(each["commit"][:12])
    return [
        f"The submodule {plain(name)} has commits that are nowhere else: {', '.join(commits[:_SHOWN])}"
        + (f" and {len(commits) - _SHOWN} more." if len(commits) > _SHOWN else ".")
        for name, commits in lacking.items()
    ]


async def large_files(project: Project, heads: Iterable[tuple[str, str]]) -> list[str]:
    """A sentence for each branch whose commits, as far as the mirror has them, name large files that the workspace
    has."""
    agent, said = client.peer(Agent, _DEADLINE), []
    for branch, head in heads:
        wanted = {each.oid: each for each in await pointers.named_by_new(Mirror(project.name), head)}
        asked = list(wanted)[: largefiles.MOST]
        if not asked:
            continue
        held = (await agent.ListLargeFiles(project=project.name, workspace=project.name, oids=asked))["held"]
        if held:
            first = plain(wanted[held[0]].path)
            count = f"{first} and {len(held) - 1} more" if len(held) > 1 else first
            said.append(f"{branch} names large files that are in the workspace: {count}.")
    return said
