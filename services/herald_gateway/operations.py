"""What each command does, and the one table of them."""

from herald.interfaces.config import Compiled
from herald.interfaces.worker import Task
from herald_gateway.commands import Asked, Command, Parameter
from herald_gateway.rendering import render_line

_LISTED = 15
"""Lines of a list that one post shows."""


async def run(asked: Asked) -> None:
    """The answer is the worker's: the task carries the message's key."""
    project = asked.given.project
    await asked.worker.Enqueue(
        key=asked.key,
        project=project,
        text=asked.given.text,
        author=asked.author,
        history=await asked.history(project),
    )


async def status(asked: Asked) -> str:
    status = await asked.worker.GetStatus()
    lines = [f"{_count(status['queued'], 'task')} queued, {_count(status['open_proposals'], 'proposal')} open."]
    if not status["running"]:
        lines.insert(0, "Nothing is running.")
    for task in status["running"]:
        since = f" since {_clock(task['started_at'])}" if task["started_at"] else ""
        lines.insert(0, f"Running{since}: {_task_line(task)}")
    lines += [f"Configuration: {error}" for error in status["config_errors"]]
    return "\n".join([*lines, f"Worker: {status['duty']}"])


async def queue(asked: Asked) -> str:
    tasks = await asked.worker.ListTasks(project=asked.given.project or None, limit=_LISTED + 1)
    where = f" for {asked.given.project}" if asked.given.project else ""
    if not tasks:
        return f"Nothing is queued or running{where}."
    lines = [f"{number}. {task['state']}: {_task_line(task)}" for number, task in enumerate(tasks[:_LISTED], 1)]
    if len(tasks) > _LISTED:
        lines.append("... and more; `heraldctl queue` lists all.")
    return "\n".join(lines)


async def projects(asked: Asked) -> str:
    found = await asked.worker.ListProjects()
    if not found:
        return "No project is configured yet; a file in the folder projects of the configuration makes one."
    return "\n".join(
        f"{each['name']}: {each['display_name']}, channel {each['channel'] or 'none'}, {each['queued']} queued"
        + ("" if each["enabled"] else ", disabled")
        for each in found
    )


async def cancel(asked: Asked) -> str:
    project = asked.given.project
    if not project:
        return "Which project? The form is !cancel [project] [--running]; in a project's channel it may be left out."
    task = await asked.worker.Cancel(project=project, running="running" in asked.given.flags)
    return f"{'Being cancelled' if task['state'] == 'running' else 'Cancelled'}: {_task_line(task)}"


async def push(asked: Asked) -> str:
    project = asked.given.project
    if not project:
        return "Which project? The form is !push [project]; in a project's channel it may be left out."
    proposals = await asked.patient.Propose(key=asked.key, project=project, author=asked.author)
    if not proposals:
        return f"Nothing to push in {project}: every branch of its agent is pushed, discarded or open as a card."
    return "\n".join(
        f"Proposed: {each['branch']}, {_count(each['commits'], 'commit')}, {render_line(each['summary'], 120)}"
        for each in proposals
    )


async def reload(asked: Asked) -> str:
    return describe_compiled(await asked.config.Reload())


async def explain(_asked: Asked) -> str:
    """`!help`: the table itself."""
    lines = [f"{command.form}: {command.help}" for command in TABLE.values()]
    return "\n".join([*lines, "Anything else in a project's channel is a task; +1 or -1 votes on its newest card."])


def describe_compiled(compiled: Compiled) -> str:
    """What became of the configuration, with file, line and field of each problem."""
    lines = list(compiled["notices"])
    if compiled["applied"]:
        how = "in force" if compiled["changed"] else "in force already, nothing has changed"
        return "\n".join([f"Configuration {compiled['generation']} is {how}.", *lines])
    for each in compiled["problems"]:
        place = f"{each['file']}:{each['line']}" if each["line"] else each["file"]
        lines.append(f"{place}: {each['field']}: {each['message']}" if each["field"] else f"{place}: {each['message']}")
    return "\n".join(["The configuration has errors; the one before stays in force.", *lines])


def _task_line(task: Task) -> str:
    return f"{task['project']}: {render_line(task['text'], 80)} ({task['author']['name']}, {task['id']})"


def _clock(at: str) -> str:
    return f"{at[11:16]} UTC"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


_PROJECT = Parameter("project", "project")
_THIS_PROJECT = Parameter("project", "project", required=True)

TABLE = {
    command.name: command
    for command in (
        Command(
            "run",
            (_THIS_PROJECT, Parameter("task", "text", required=True)),
            "queue a task; the answer comes in the project's channel",
            "operator",
            "keyed",
            run,
        ),
        Command("status", (), "what is running and how much is queued", "reader", "none", status),
        Command("queue", (_PROJECT,), "the tasks in the order in which they will run", "reader", "none", queue),
        Command("projects", (), "the projects and their channels", "reader", "none", projects),
        Command(
            "cancel",
            (_PROJECT, Parameter("running", "flag")),
            "cancel the oldest queued task, or the running one",
            "operator",
            "once",
            cancel,
        ),
        Command("push", (_PROJECT,), "propose what the agent committed and nobody proposed", "operator", "once", push),
        Command("reload", (), "put the changed configuration in force", "operator", "once", reload),
        Command("help", (), "this list", "reader", "none", explain),
    )
}
"""Every command: its name, parameters, help line, the right it needs, its effect and what carries it out."""
