"""What `!status`, `!queue` and `!projects` show: to somebody whose right is limited to some projects, only those."""

from herald.interfaces.worker import Task
from herald.people import role_of
from herald_gateway.commands import Asked
from herald_gateway.rendering import render_line

_LISTED = 15
"""Lines of a list that one post shows."""

_MOST_LISTED = 1000
_NO_PROJECT = "*"
"""No project has this name: only a right in all projects holds for it."""


async def status(asked: Asked) -> str:
    """What runs, how much waits, what is wrong."""
    status = await asked.worker.GetStatus()
    running = [task for task in status["running"] if _shown(asked, task["project"])]
    queued, proposals = status["queued"], status["open_proposals"]
    if not sees_all(asked):
        queued = sum(each["queued"] for each in await asked.worker.ListProjects() if _shown(asked, each["name"]))
        found = await asked.worker.ListProposals(limit=_MOST_LISTED)
        proposals = sum(_shown(asked, each["project"]) for each in found)
    lines = []
    for task in running:
        since = f" since {_clock(task['started_at'])}" if task["started_at"] else ""
        lines.append(f"Running{since}: {task_line(task)}")
    if not running:
        lines.append("Nothing is running." if not status["running"] else "A task of another project is running.")
    lines.append(f"{count(queued, 'task')} queued, {count(proposals, 'proposal')} open.")
    if sees_all(asked):
        lines += [f"Configuration: {error}" for error in status["config_errors"]]
        lines.append(f"Worker: {status['duty']}")
    return "\n".join(lines)


async def queue(asked: Asked) -> str:
    """The tasks in the order in which they will run."""
    project = asked.given.project
    limit = _LISTED + 1 if project or sees_all(asked) else _MOST_LISTED
    found = await asked.worker.ListTasks(project=project or None, limit=limit)
    tasks = [task for task in found if _shown(asked, task["project"])]
    if not tasks:
        return f"Nothing is queued or running{f' for {project}' if project else ''}."
    lines = [f"{number}. {task['state']}: {task_line(task)}" for number, task in enumerate(tasks[:_LISTED], 1)]
    if len(tasks) > _LISTED:
        lines.append("... and more; `heraldctl queue` lists all.")
    return "\n".join(lines)


async def projects(asked: Asked) -> str:
    """The projects and their channels."""
    found = [each for each in await asked.worker.ListProjects() if _shown(asked, each["name"])]
    if not found:
        return "No project is configured yet; !addproject adds one."
    return "\n".join(
        f"{each['name']}: {each['display_name']}, {_channel(each['channel'])}, {each['queued']} queued"
        + ("" if each["enabled"] else ", disabled")
        for each in found
    )


def sees_all(asked: Asked) -> bool:
    """Whether who asks has a right in all projects."""
    return role_of(asked.snapshot, asked.author["id"], _NO_PROJECT) is not None


def task_line(task: Task) -> str:
    """A task on one line."""
    return f"{task['project']}: {render_line(task['text'], 80)} ({task['author']['name']}, {task['id']})"


def count(number: int, noun: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _shown(asked: Asked, project: str) -> bool:
    return role_of(asked.snapshot, asked.author["id"], project) is not None


def _channel(channel: str) -> str:
    """A mention, which Discord shows as the name."""
    return f"channel <#{channel}>" if channel else "no channel"


def _clock(at: str) -> str:
    return f"{at[11:16]} UTC"
