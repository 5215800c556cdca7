"""What each command does, and the one table of them."""

import os

from asyncvarlink import FileDescriptor

from herald import survey
from herald.errors import Conflict, Failed
from herald.interfaces.config import Compiled
from herald.interfaces.worker import Enqueued
from herald_gateway import overviews
from herald_gateway.commands import Additions, Asked, Command, Given, Parameter, Reply
from herald_gateway.overviews import count, task_line
from herald_gateway.rendering import render_line

NO_DISCORD = (
    "Herald has no token for Discord: put the bot's into credentials/discord_token beside herald.yaml, then restart"
    " herald-gateway"
)


async def enqueue(asked: Asked, replies_to: str = "") -> Enqueued:
    """Hand over a task, with the history of its channel and what was attached. Raises HeraldError."""
    given, attached = asked.given, None
    if asked.attachments:
        try:
            attached = os.open(asked.attachments, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise Failed(f"what was attached cannot be read any more ({error.strerror}); send it again") from error
    try:
        return await asked.worker.Enqueue(
            key=asked.key,
            project=given.project,
            text=given.text,
            author=asked.author,
            history=await asked.history(given.project),
            replies_to=replies_to or None,
            attachments=None if attached is None else FileDescriptor(attached),
        )
    finally:
        if attached is not None:
            os.close(attached)


async def run(asked: Asked) -> Reply | None:
    """The answer is the worker's: the task carries the message's key. Asked elsewhere, a line says where."""
    project = asked.given.project
    queued = await enqueue(asked)
    place = _place_of_answers(asked)
    ahead = f", {count(queued['ahead'], 'task')} before it" if queued["ahead"] else ""
    told = f"Queued for {project} as task {queued['task']}{ahead}. The answer comes {place}."
    return Reply(told) if place else None


async def cancel(asked: Asked) -> str:
    running = "running" in asked.given.flags
    if running and asked.replies_to:  # that very task, also when it has just ended and another one runs
        task = await asked.worker.Cancel(task=asked.replies_to, author=asked.author)
    else:
        task = await asked.worker.Cancel(project=asked.given.project, running=running, author=asked.author)
    return f"{'Being cancelled' if task['state'] == 'running' else 'Cancelled'}: {task_line(task)}"


async def push(asked: Asked) -> str:
    project = asked.given.project
    proposals = await asked.patient.Propose(key=asked.key, project=project, author=asked.author)
    if not proposals:
        return f"Nothing to push in {project}: every branch of its agent is pushed, discarded or open as a card."
    return "\n".join(
        f"Proposed: {each['branch']}, {count(each['commits'], 'commit')}, {render_line(each['summary'], 120)}"
        for each in proposals
    )


async def deploy(asked: Asked) -> Reply | None:
    """The worker posts that it begins and what came of it, with the tail of the output."""
    project = asked.given.project
    await asked.worker.Deploy(key=asked.key, project=project, author=asked.author)
    place = _place_of_answers(asked)
    return Reply(f"{project} will be deployed. What comes of it is posted {place}.") if place else None


async def reset(asked: Asked) -> Reply:
    """First the list, then, confirmed, the reset. The button under the list is the second one."""
    project = asked.given.project
    if "yes" in asked.given.flags:
        done = await asked.patient.Reset(key=asked.key, project=project, author=asked.author)
        return Reply("\n".join(survey.reset_lines(done)), last=True)
    found = await asked.patient.Survey(project=project, author=asked.author)
    lines = survey.survey_lines(found)
    if not found["made"]:
        return Reply("\n".join(lines), last=True)
    lines.append(f"`!reset {project} --yes` resets it.")
    return Reply("\n".join(lines), last=True, actions=(f"reset {project} --yes",))


async def stash(asked: Asked) -> str:
    project = asked.given.project
    done = await asked.patient.Stash(project=project, author=asked.author)
    return survey.stash_line(project, stashed=done["stashed"])


async def own(asked: Asked) -> str:
    project = asked.snapshot.project(asked.given.project)
    if project.workspace == "own":
        return survey.own_line(project.name, project.path, changed=False)
    done = await asked.patient.Own(project=project.name, author=asked.author)
    return survey.own_line(project.name, project.path, changed=done["changed"])


async def reload(asked: Asked) -> str:
    return describe_compiled(await asked.config.Reload())


async def addproject(asked: Asked) -> str:
    values = asked.given.values
    return await _additions(asked).add(
        asked, values["name"], values["repo_url"], values.get("agent_name", ""), values.get("channel", "")
    )


async def webhook(asked: Asked) -> str:
    return await _additions(asked).webhook(asked, asked.given.project)


async def not_yet(asked: Asked) -> str:
    """`!schedule`, `!pause`, `!resume`, `!autonomy`: nothing starts by itself so far."""
    return (
        "This command is not in effect yet: Herald starts nothing by itself so far, neither on a schedule nor"
        f" autonomously. Nothing was changed in {asked.given.project}."
    )


async def explain(asked: Asked) -> str:
    """`!help`: the table itself, or one row of it."""
    one = TABLE.get(asked.given.values.get("command", ""))
    if one is not None:
        where = " in all projects" if one.everywhere else ""
        details = [each for each in one.parameters if each.kind not in ("project", "filter")]
        lines = [f"{each.form or 'attached'}: {each.help}" for each in details]
        return "\n".join([f"{one.form}: {one.help}.", *lines, f"It needs the right {one.right}{where}."])
    lines = [f"{command.form}: {command.help}" for command in TABLE.values()]
    return "\n".join([*lines, "Anything else in a project's channel is a task; +1 or -1 votes on its newest card."])


def _place_of_answers(asked: Asked) -> str:
    """Where the worker's posts answer, as one is told who asks elsewhere or by slash; empty where nobody need be."""
    if asked.channel != asked.given.project:
        return f"in the channel of {asked.given.project}"
    return "here" if asked.origin and asked.origin.interaction else ""


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


def _additions(asked: Asked) -> Additions:
    if asked.projects is None:
        raise Conflict(NO_DISCORD)
    return asked.projects


def _check_autonomy(given: Given) -> str:
    """Minutes go with some of the words."""
    action = given.values["action"]
    if action in ("budget", "reserve") and "minutes" not in given.values:
        return f"{action} needs a number of minutes."
    return f"{action} takes no minutes." if action in ("off", "status") and "minutes" in given.values else ""


_PROJECT = Parameter("project", "project", "the project; that of the channel where it is left out")
_NAMED_PROJECT = _PROJECT._replace(required=True)
_ONE_PROJECT = Parameter("project", "filter", "of this project alone; that of the channel where it is left out")
_COMMAND = Parameter("command", "command", "one command alone")
_ACTIONS = ("on", "off", "status", "budget", "reserve")
_PICTURE = Parameter("avatar", "attachment", "the agent's picture: PNG, JPEG, GIF or WebP")

TABLE = {
    command.name: command
    for command in (
        Command(
            "run",
            (
                Parameter("project", "project", "the project", required=True),
                Parameter("task", "text", "what to do", required=True),
                Parameter("file", "attachment", "a file that the agent can read"),
            ),
            "queue a task; the answer comes in the project's channel",
            "operator",
            "keyed",
            run,
        ),
        Command("deploy", (_PROJECT,), "start the containers from the commit pushed last", "approver", "keyed", deploy),
        Command("push", (_PROJECT,), "propose what the agent committed and nobody proposed", "operator", "once", push),
        Command(
            "reset",
            (_PROJECT, Parameter("yes", "flag", "do it, instead of listing what would be deleted")),
            "make the agent's workspace anew; lists first what would be deleted",
            "approver",
            "once",
            reset,
        ),
        Command("stash", (_PROJECT,), "stash uncommitted changes in the project's folder", "approver", "once", stash),
        Command("own", (_PROJECT,), "let the agent work in a clone of its own from now on", "approver", "once", own),
        Command(
            "cancel",
            (_PROJECT, Parameter("running", "flag", "the running one instead")),
            "cancel the oldest queued task, or the running one",
            "operator",
            "once",
            cancel,
        ),
        Command("status", (), "what is running and how much is queued", "reader", "none", overviews.status),
        Command(
            "queue", (_ONE_PROJECT,), "the tasks in the order in which they run", "reader", "none", overviews.queue
        ),
        Command("projects", (), "the projects and their channels", "reader", "none", overviews.projects),
        Command(
            "addproject",
            (
                Parameter("name", "name", "the project's name: small letters, digits, dashes", required=True),
                Parameter("repo_url", "word", "where to clone from; git@... for a private one", required=True),
                Parameter("agent_name", "word", "under which name the agent speaks"),
                Parameter("channel", "channel", "an existing channel; without it a private one is made"),
                _PICTURE,
            ),
            "add a project: clone, channel, webhook, configuration; attach a picture for the agent",
            "operator",
            "keyed",
            addproject,
            everywhere=True,
        ),
        Command(
            "webhook",
            (_NAMED_PROJECT, _PICTURE),
            "make or update the agent's webhook; attach a picture for the agent",
            "operator",
            "keyed",
            webhook,
        ),
        Command(
            "schedule",
            (
                _NAMED_PROJECT,
                Parameter("cron", "cron", "five fields, for example 0 8 * * *", required=True),
                Parameter("entry", "option", "which entry of the schedule; the first without it"),
            ),
            "set when the project's scheduled task starts",
            "operator",
            "once",
            not_yet,
        ),
        Command("pause", (_PROJECT,), "stop schedules and autonomy; queued tasks stay", "operator", "once", not_yet),
        Command("resume", (_PROJECT,), "start schedules and autonomy again", "operator", "once", not_yet),
        Command(
            "autonomy",
            (
                _NAMED_PROJECT,
                Parameter(
                    "action",
                    "choice",
                    "what to do",
                    required=True,
                    choices=("on", "off", "status", "budget", "reserve"),
                ),
                Parameter("minutes", "number", "for on, budget and reserve: minutes a week"),
            ),
            "let the agent work on its roadmap by itself",
            "operator",
            "once",
            not_yet,
            check=_check_autonomy,
        ),
        Command("reload", (), "put the changed configuration in force", "operator", "once", reload, everywhere=True),
        Command(
            "help", (Parameter("command", "command", "one command alone"),), "this list", "reader", "none", explain
        ),
    )
}
"""Every command: its name, parameters, help line, the right it needs, its effect and what carries it out."""
