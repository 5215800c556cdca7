"""The keys of herald.yaml."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from herald_config.section import LATER, Section
from herald_config.values import (
    AbsolutePath,
    ApiAddress,
    ComposeCommand,
    Duration,
    GatewayAddress,
    Identifier,
    OneLine,
    ProjectName,
    TimeLimit,
    Timezone,
    UnixUser,
)

MOST_ACTIVE = 64


class OperatorEntry(Section):
    """One person, by Discord id, by Unix user, or both. A person may stand in several entries."""

    discord_id: Identifier | None = Field(default=None, description="Who it is in Discord (Copy User ID)")
    unix_user: UnixUser | None = Field(default=None, description="Who it is on this machine")
    name: OneLine | None = Field(default=None, description="For people")
    role: Literal["reader", "operator", "approver"] = Field(description="What this person may do")
    projects: tuple[ProjectName, ...] = Field(default=(), description="Empty: all projects")

    @model_validator(mode="after")
    def _is_somebody(self) -> "OperatorEntry":
        if not (self.discord_id or self.unix_user):
            raise ValueError("names nobody; add discord_id or unix_user")
        return self


class DeployDefaults(Section):
    """How containers are started on this machine."""

    command: ComposeCommand = Field(
        default="docker compose", description="The compose command; split into words, run without a shell"
    )
    socket: AbsolutePath = Field(default="/var/run/docker.sock", description="The container socket")
    time_limit: TimeLimit = Field(default="15m", description="Longest time of one deploy, 1s to 24h")


class Discord(Section):
    """The Discord server."""

    guild_id: Identifier | None = Field(default=None, description="The server (Copy Server ID)")
    system_channel: Identifier | None = Field(default=None, description="Channel where Herald speaks of itself")
    work_channel: Identifier | None = Field(default=None, description="Channel where agents speak of their work")
    api: ApiAddress | None = Field(default=None, description="API of another server, with the version: .../api/v10")
    gateway: GatewayAddress | None = Field(default=None, description="Gateway of another server; goes with api")


class ServerFile(Section):
    """What holds for all projects."""

    operators: tuple[OperatorEntry, ...] = Field(default=(), description="Who may do what; nobody else is answered")
    timezone: Annotated[Timezone, LATER] = Field(default="UTC", description="Zone of schedules")
    max_active: int = Field(default=1, ge=1, le=MOST_ACTIVE, description="Runs at one time, over all projects")
    task_limit: TimeLimit = Field(default="30m", description="Longest time of one run, 1s to 24h")
    projects_root: AbsolutePath = Field(default="/srv/herald/repos", description="Where clones are made")
    stagger_minutes: Annotated[int, LATER] = Field(
        default=15, ge=0, le=1439, description="Distance of schedules of projects"
    )
    misfire_grace: Annotated[Duration, LATER] = Field(default="5m", description="Older due times count as missed")
    deploy: DeployDefaults = Field(default=DeployDefaults(), description="How containers are started")
    discord: Discord = Field(default=Discord(), description="The Discord server")
