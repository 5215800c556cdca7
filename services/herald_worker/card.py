"""From the commits of a run to a proposal with its card."""

import re

from herald.errors import Failed
from herald.snapshot import Project
from herald_worker import submodule_addresses
from herald_worker.commit_summary import plain
from herald_worker.largefiles import LargeFiles
from herald_worker.mirror import Mirror
from herald_worker.proposals import NewProposal
from herald_worker.runfolder import End, RunFolder
from herald_worker.tasks import Due

_MOST_PACK = 512 << 20
_SUBJECTS_SHOWN = 10
_WORDS_SHOWN = 80
"""Characters of the message that asked for the work."""


async def propose(mirror: Mirror, project: Project, run: RunFolder, task: Due, end: End) -> NewProposal:
    """Import the pack of a run, checked, and word the card. Raises Conflict, Failed, Unavailable."""
    if not end.branch.startswith(f"{project.branch_prefix}-"):
        raise Failed(f"the run reports the branch {end.branch!r}, which is not below {project.branch_prefix}")
    await mirror.import_run(run.run, run.file("pack"), end.head, end.base, _MOST_PACK, project.fsck_accept)
    return await word(mirror, project, run.run, task, end)


async def word(mirror: Mirror, project: Project, run: str, task: Due | None, end: End) -> NewProposal:
    """The proposal of commits that the mirror has; every number comes from the mirror, not from the agent."""
    summary = await mirror.summary(end.head)
    workspace = project.name if task is None else task.workspace
    large_files = await LargeFiles().collect(project, workspace, end.head)
    subjects = [f"• {subject}" for subject in summary.subjects[:_SUBJECTS_SHOWN]]
    if summary.commits > len(subjects):
        subjects.append(f"• … and {summary.commits - len(subjects)} more")
    changed = f"{summary.files} file{'' if summary.files == 1 else 's'}, +{summary.insertions} -{summary.deletions}"
    lines = [
        *large_files.warning(),
        f"{changed}, branch {end.branch} at {end.head[:12]}",
        *_where(project),
        *subjects,
        *(f"⚠️ {flag}" for flag in (*summary.flags, await submodule_addresses.changed(project.name, end.head)) if flag),
    ]
    lines.extend(large_files.lines())
    if task is not None:
        lines.append(_asked(task))
    if summary.trailer_tests:
        lines.append(f"Tests: {summary.trailer_tests}")
    if end.message:
        lines.append(end.message)
    return NewProposal(
        project=project.name,
        task="" if task is None else str(task.id),
        run=run,
        branch=end.branch,
        base=end.base,
        head=end.head,
        commits=summary.commits,
        summary=summary.subjects[0] if summary.subjects else "",
        card="\n".join(lines),
        identity=project.agent_name,
        answers="" if task is None else task.key,
        needs_vote=project.push_requires_approval or bool(project.push_problem),
        push_problem=project.push_problem,
        workspace=workspace,
    )


def _where(project: Project) -> list[str]:
    """Where a push goes, and where the work comes from if that is another place."""
    remote = _shown(project.remote)
    if project.push_problem:
        return [f"From {remote}"]
    return [f"To {_shown(project.push_url)}, from {remote}"] if project.push_url else [f"To {remote}"]


def _shown(url: str) -> str:
    """Without user and password, in which a token may be; as code: Discord shows no preview of it."""
    return f"`{plain(re.sub(r'(?<=://)[^/]*@', '', url).replace('`', '?'))}`"


def _asked(task: Due) -> str:
    words = plain(task.text[: 8 * _WORDS_SHOWN])
    words = words if len(words) <= _WORDS_SHOWN else words[: _WORDS_SHOWN - 1] + "…"
    return f"Asked for by {plain(task.author['name'])} in task {task.id}: {words}"
