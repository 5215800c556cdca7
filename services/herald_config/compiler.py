"""Compiles the configuration folder into the snapshot."""

import time

from herald import names, signature
from herald.errors import Busy, Unavailable
from herald.interfaces.config import Compiled, Problem
from herald.snapshot import EMPTY, Deploy, Discord, Operator, Project, Snapshot
from herald_config import clone_submodules, project_file, remotes, server_file, sources, state, surroundings, values
from herald_config.remotes import Target
from herald_config.sources import Sources

_ATTEMPTS = 10


def check() -> Compiled:
    """Validate without writing anything; `applied` says whether exactly these files are in force already."""
    found, signed = _read_steady()
    try:
        stored = state.load()
    except Unavailable:
        # whoever checks need not be allowed to read the state
        stored = state.Stored(EMPTY, state.Ledger(0, {}), {})
    resolved = remotes.resolve(found.projects, stored.ledger.clones)
    told = resolved.notices + surroundings.notices(found, resolved.targets)
    damage = [f"{path} is damaged ({reason}); a reload compiles it anew" for path, reason in stored.damaged.items()]
    return {
        "applied": not found.problems and stored.snapshot.signature == signed,
        "changed": False,
        "generation": stored.snapshot.generation,
        "problems": found.problems,
        "notices": [*found.notices, *told, *damage],
    }


def reload() -> Compiled:
    """Validate and, if nothing is wrong, put a new snapshot in force; nothing is written when it would be the same.

    Raises Busy and Unavailable; then, as with problems, what was in force stays in force.
    """
    with state.locked():
        return put_in_force()


def put_in_force() -> Compiled:
    """What a reload does, for who holds the lock."""
    stored = state.load()
    found, signed = _read_steady()
    resolved = remotes.resolve(found.projects, stored.ledger.clones)
    notices = [*found.notices, *resolved.notices, *surroundings.notices(found, resolved.targets)]
    if found.problems:
        notices += [f"{path} is damaged ({reason})" for path, reason in stored.damaged.items()]
        return _compiled(stored.snapshot, found, notices, applied=False, changed=False)
    snapshot = _snapshot(found, signed, resolved.targets, stored.next_generation())
    if not stored.damaged and stored.complete and _same(snapshot, stored.snapshot):
        if not stored.has_ledger or resolved.kept != stored.ledger.clones:
            state.keep(stored.ledger._replace(clones=resolved.kept))
        return _compiled(stored.snapshot, found, notices, applied=True, changed=False)
    notices += state.save(snapshot, state.Ledger(snapshot.generation, resolved.kept), stored.damaged)
    return _compiled(snapshot, found, notices, applied=True, changed=True)


def refused(stored: state.Stored, problems: list[Problem], notices: list[str] | None = None) -> Compiled:
    """The answer to a change that was not made."""
    generation = stored.snapshot.generation
    return {
        "applied": False,
        "changed": False,
        "generation": generation,
        "problems": problems,
        "notices": notices or [],
    }


def _read_steady() -> tuple[Sources, str]:
    """The sources with the signature of exactly what was read: taken before, and the same afterwards."""
    folder = names.config_folder()
    for _ in range(_ATTEMPTS):
        signed = signature.settled(folder)
        found = sources.load(folder)
        if signature.signature_of(folder) == signed:
            return found, signed
    raise Busy(f"{folder} kept changing while it was read; try again when the edits are done")


def _snapshot(found: Sources, signed: str, resolved: dict[str, Target], generation: int) -> Snapshot:
    operators = tuple(
        Operator(each.discord_id or "", each.unix_user or "", each.name or "", each.role, each.projects)
        for each in found.server.operators
    )
    deploy = found.server.deploy
    return Snapshot(
        generation=generation,
        signature=signed,
        compiled_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        max_active=found.server.max_active,
        task_limit=values.seconds(found.server.task_limit),
        operators=operators,
        projects={each.keys.name: _project(each, resolved[each.keys.name]) for each in found.projects},
        projects_root=found.server.projects_root,
        discord=_discord(found.server.discord),
        deploy=Deploy(deploy.command, deploy.socket, values.seconds(deploy.time_limit)),
    )


def _discord(keys: server_file.Discord) -> Discord:
    return Discord(
        guild_id=keys.guild_id or "",
        system_channel=keys.system_channel or "",
        work_channel=keys.work_channel or "",
        api=keys.api or "",
        gateway=keys.gateway or "",
    )


def _project(source: project_file.Project, target: Target) -> Project:
    keys = source.keys
    return Project(
        name=keys.name,
        display_name=keys.display_name or keys.name,
        path=keys.path,
        channel=keys.discord_channel_id or "",
        agent_name=keys.agent_name or "",
        enabled=keys.enabled,
        workspace="path" if keys.workspace == "path" else "own",
        auto_commit=keys.git.auto_commit,
        push_requires_approval=keys.git.push_requires_approval,
        branch_prefix=keys.git.branch_prefix or f"agent/{keys.name}",
        remote=target.remote,
        push_url=target.push_url,
        push_problem=target.push_problem,
        webhook_url=keys.webhook_url or "",
        webhook_avatar_url=keys.webhook_avatar_url or "",
        replies=keys.replies,
        threads=keys.threads,
        compose_path=keys.deploy.compose_path or "",
        auto_deploy_on_push=keys.deploy.auto_deploy_on_push,
        workspace_files=keys.workspace_files,
        fsck_accept=keys.git.fsck.accept,
        submodules_init=keys.git.submodules.init,
        submodules_push=keys.git.submodules.push,
        submodules_urls=tuple(sorted(keys.git.submodules.urls.items())),
        submodules_found=clone_submodules.initialised(keys.path),
        lfs_get=keys.git.lfs.get,
        lfs_url=keys.git.lfs.url or "",
    )


def _same(one: Snapshot, other: Snapshot) -> bool:
    return one == other._replace(generation=one.generation, compiled_at=one.compiled_at)


def _compiled(in_force: Snapshot, found: Sources, notices: list[str], *, applied: bool, changed: bool) -> Compiled:
    return {
        "applied": applied,
        "changed": changed,
        "generation": in_force.generation,
        "problems": found.problems,
        "notices": notices,
    }
