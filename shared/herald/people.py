"""Who may do what, by the operators of the snapshot (rules of people and rights)."""

from herald.snapshot import Role, Snapshot

_RANK: dict[Role, int] = {"reader": 0, "operator": 1, "approver": 2}


def role_of(snapshot: Snapshot, author: str, project: str) -> Role | None:
    """The role of `unix:NAME` or `discord:ID` in a project; None: a stranger.

    A Unix user who may call the bus at all is an approver unless `operators` lists a lesser role for that user; a
    Discord user who is not listed is a stranger.
    """
    kind, _, name = author.partition(":")
    field = {"unix": "unix_user", "discord": "discord_id"}.get(kind)
    if field is None or not name:
        return None
    listed = [operator for operator in snapshot.operators if getattr(operator, field) == name]
    if not listed:
        return "approver" if kind == "unix" else None
    roles: list[Role] = [each.role for each in listed if not each.projects or not project or project in each.projects]
    return max(roles, key=_RANK.__getitem__, default=None)


def may(role: Role | None, needed: Role) -> bool:
    """Whether a role includes what `needed` may do."""
    return role is not None and _RANK[role] >= _RANK[needed]
