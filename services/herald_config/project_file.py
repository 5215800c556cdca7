"""The keys of projects/NAME.yaml."""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from herald_config.document import Document
from herald_config.section import LATER, Section
from herald_config.values import (
    AbsolutePath,
    AgentName,
    BranchPrefix,
    ComposePath,
    CronLine,
    FsckId,
    Identifier,
    LargeFileServer,
    OneLine,
    PathInProject,
    ProjectName,
    PushAddress,
    Remote,
    Selection,
    Timezone,
    WebAddress,
    WebhookAddress,
)


class Fsck(Section):
    """What `git fsck` may find in the remote's history."""

    accept: tuple[FsckId, ...] = Field(
        default=(), description="Ids of git's check that are ignored besides the harmless ones, such as gitmodulesUrl"
    )


class Submodules(Section):
    """Repositories inside the repository."""

    init: Selection | None = Field(
        default=None, description="all, none, or a list of paths; default: those that the project's clone has"
    )
    urls: dict[PathInProject, Remote] = Field(
        default={}, description="Addresses by path that are accepted besides those that need no acceptance"
    )
    push: bool = Field(default=False, description="Push commits of submodules before the branch that needs them")


class Lfs(Section):
    """Large files that git-lfs keeps outside the repository."""

    get: Selection = Field(
        default=("none",), description="What is fetched into the workspace: none (pointers), all, or a list of globs"
    )
    url: LargeFileServer | None = Field(
        default=None, description="Server of large files; default: where git-lfs expects it beside the remote"
    )


class Git(Section):
    """How commits are made and pushed."""

    auto_commit: bool = Field(
        default=True, description="Commit what the agent left uncommitted; false: it may not commit"
    )
    push_requires_approval: bool = Field(default=True, description="false: pushed without a vote, this project is open")
    branch_prefix: BranchPrefix | None = Field(
        default=None, description="Branches are PREFIX-DATE-TIME; default agent/NAME"
    )
    remote: Remote | None = Field(
        default=None, description="URL or absolute path; default: what the clone fetches from, read once"
    )
    push_url: PushAddress | None = Field(
        default=None,
        description="Where branches are pushed to; none: nowhere; default: where the clone pushes to, read once",
    )
    fsck: Fsck = Field(default=Fsck(), description="Checks of the remote's history")
    submodules: Submodules = Field(default=Submodules(), description="Repositories inside this one")
    lfs: Lfs = Field(default=Lfs(), description="Files that git-lfs keeps")


class ScheduleEntry(Section):
    """One task that starts by the clock."""

    cron: CronLine = Field(description="Five fields or an @name, in the project's time zone")
    task: str = Field(default="", description="The prompt; empty: the built-in one")
    missed: Literal["once", "skip"] = Field(
        default="once", description="After downtime: start once for all missed, or not"
    )


class Deploy(Section):
    """How the project's containers are started."""

    compose_path: ComposePath | None = Field(
        default=None, description="Compose file: a path inside what was pushed, or an absolute one of the operator's"
    )
    auto_deploy_on_push: bool = Field(default=False, description="Deploy after each push")


class Autonomous(Section):
    """Work on the roadmap while the operator is away."""

    enabled: bool = Field(default=False, description="Opt in")
    weekly_minutes: int = Field(default=210, ge=0, le=10080, description="Budget of wall-clock minutes per ISO week")
    reserve_minutes: int = Field(default=90, ge=0, le=10080, description="Shown only")
    min_gap_hours: float = Field(default=20, ge=0, le=8760, description="Hours between the starts of two runs")
    max_per_day: int = Field(default=1, ge=0, le=1000, description="Runs per calendar day (UTC)")
    roadmap_paths: tuple[PathInProject, ...] = Field(
        default=("docs/roadmap.md", "ROADMAP.md", "TODO.md"), description="The first file with `- [ ]` counts"
    )
    task: str = Field(default="", description="The prompt; empty: the built-in one")


class Accountability(Section):
    """Reminders of a project that nobody touches."""

    text: Literal["template", "agent"] = Field(
        default="template", description="Who writes the reminder; agent wakes the agent"
    )


class ProjectFile(Section):
    """One project."""

    name: ProjectName = Field(description="Becomes folder, branch and journal field; best the name of this file")
    display_name: OneLine | None = Field(default=None, description="For people; default: the name")
    path: AbsolutePath = Field(description="The project's folder, a clone of its remote")
    discord_channel_id: Identifier | None = Field(
        default=None, description="Channel of the project; one for each project"
    )
    enabled: bool = Field(default=True, description="false: no task is taken")
    timezone: Annotated[Timezone | None, LATER] = Field(default=None, description="Default: the one of herald.yaml")
    workspace: Literal["path", "own", "worktree"] = Field(
        default="path",
        description="Where the agent works: the project's folder, or a clone of its own; worktree is own",
    )
    workspace_files: tuple[PathInProject, ...] = Field(
        default=(), description="Files of the project's folder that are copied into its own workspace"
    )
    agent_name: AgentName | None = Field(default=None, description="Name under which the agent posts")
    webhook_url: WebhookAddress | None = Field(default=None, description="Fallback for a webhook made by hand")
    webhook_avatar_url: WebAddress | None = Field(default=None, description="Picture for each post")
    replies: Literal["steer", "queue"] = Field(default="queue", description="Replies to the message of a running task")
    threads: Literal["off", "task"] = Field(default="off", description="A thread for each task")
    git: Git = Field(default=Git(), description="How commits are made and pushed")
    schedule: Annotated[tuple[ScheduleEntry, ...], LATER] = Field(
        default=(), description="Tasks that start by the clock"
    )
    autonomous: Annotated[Autonomous, LATER] = Field(
        default=Autonomous(), description="Work while the operator is away"
    )
    accountability: Annotated[Accountability, LATER] = Field(default=Accountability(), description="Reminders")
    blog_output: Annotated[Literal["file", "repo", "webhook"], LATER] = Field(
        default="file", description="Where posts go"
    )
    deploy: Deploy = Field(default=Deploy(), description="How the project's containers are started")


class Project(NamedTuple):
    """One project, the file it comes from, and its path without symbolic links."""

    document: Document
    keys: ProjectFile
    real_path: str
