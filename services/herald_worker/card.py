"""From the commits of a run to a proposal with its card."""

from herald.errors import Failed
from herald.snapshot import Project
from herald_worker.mirror import Mirror
from herald_worker.proposals import NewProposal
from herald_worker.runfolder import End, RunFolder

_MOST_PACK = 512 << 20
_SUBJECTS_SHOWN = 10


async def propose(mirror: Mirror, project: Project, run: RunFolder, task: str, answers: str, end: End) -> NewProposal:
    """Import the pack of a run, checked, and word the card. Raises Conflict, Failed, Unavailable."""
    if not end.branch.startswith(f"{project.branch_prefix}-"):
        raise Failed(f"the run reports the branch {end.branch!r}, which is not below {project.branch_prefix}")
    await mirror.import_run(run.run, run.file("pack"), end.head, end.base, _MOST_PACK)
    return await word(mirror, project, run.run, task, answers, end)


async def word(mirror: Mirror, project: Project, run: str, task: str, answers: str, end: End) -> NewProposal:
    """The proposal of commits that the mirror has; every number comes from the mirror, not from the agent."""
    summary = await mirror.summary(end.head)
    subjects = [f"• {subject}" for subject in summary.subjects[:_SUBJECTS_SHOWN]]
    if summary.commits > len(subjects):
        subjects.append(f"• … and {summary.commits - len(subjects)} more")
    changed = f"{summary.files} file{'' if summary.files == 1 else 's'}, +{summary.insertions} -{summary.deletions}"
    lines = [
        f"{changed}, branch {end.branch} at {end.head[:12]}",
        *subjects,
        *(f"⚠️ {flag}" for flag in summary.flags),
    ]
    if summary.trailer_tests:
        lines.append(f"Tests: {summary.trailer_tests}")
    if end.message:
        lines.append(end.message)
    return NewProposal(
        project=project.name,
        task=task,
        run=run,
        branch=end.branch,
        base=end.base,
        head=end.head,
        commits=summary.commits,
        summary=summary.subjects[0] if summary.subjects else "",
        card="\n".join(lines),
        identity=project.agent_name,
        answers=answers,
        needs_vote=project.push_requires_approval,
    )
