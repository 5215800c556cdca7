"""Proposals: commits that wait for a vote, and what became of them.

open -> approved -> pushing -> pushed | void | refused
     -> rejected -> discarded
     -> superseded | expired
A vote that is withdrawn before the push begins takes approved back to open. A proposal is over when it has an end.
"""

import sqlite3
import time
from typing import NamedTuple

from herald import clock, events
from herald.errors import Conflict, NotFound
from herald.interfaces.worker import Author, Proposal, ProposalState
from herald_worker import posts
from herald_worker.commit_summary import plain

_LIFETIME = 7 * 86400.0
ENDED: frozenset[ProposalState] = frozenset({"pushed", "refused", "discarded", "void", "expired", "superseded"})


class NewProposal(NamedTuple):
    """Commits to be proposed. `card` is the text below the card's first line; `answers` the message that asked.

    `push_problem` says why they cannot be pushed as things are. It is no part of the card that is kept: when that has
    changed, the vote is carried out.
    """

    project: str
    task: str
    run: str
    branch: str
    base: str
    head: str
    commits: int
    summary: str
    card: str
    identity: str
    answers: str
    needs_vote: bool
    workspace: str = ""
    """empty: the project's first"""
    push_problem: str = ""


class Unpushable(Conflict):
    """The vote is for a push that is known to be impossible."""


def first_line(commits: int, summary: str) -> str:
    """The card's first line, exactly as the rules word it."""
    return f"Ready to push — {commits} commit{'' if commits == 1 else 's'}. {summary}"


def card_key(run: str) -> str:
    """The key of a card's post. Not the proposal's number: after a damage of the database one may be given again."""
    return f"card-{run}"


def create(connection: sqlite3.Connection, new: NewProposal, ends: str = "") -> None:
    """Propose; an open card of the same branch is replaced. `ends` is the line with which the task's progress ends."""
    for row in connection.execute(
        "SELECT id, branch FROM proposals WHERE project = ? AND branch = ? AND state = 'open'",
        (new.project, new.branch),
    ).fetchall():
        text = f"Replaced — a newer card below continues {row['branch']}."
        move(connection, row["id"], "superseded", "a newer card continues this branch", edit=text)
    expires = clock.text(time.time() + _LIFETIME)
    state: ProposalState = "open" if new.needs_vote else "approved"
    expected = _taken_place_of(connection, new)
    if expected:
        somebody = f"⚠️ At the remote {new.branch} is at {expected[:12]}, which is not Herald's; this takes its place"
        new = new._replace(card=f"{somebody}\n{new.card}")
    cursor = connection.execute(
        "INSERT INTO proposals (project, workspace, task, run, branch, base, head, commits, summary, card, state,"
        " answers, created_at, expires_at, expected) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            new.project,
            new.workspace or new.project,
            new.task,
            new.run,
            new.branch,
            new.base,
            new.head,
            new.commits,
            new.summary,
            new.card,
            state,
            "" if new.needs_vote else new.answers,
            clock.now(),
            expires,
            expected,
        ),
    )
    number = cursor.lastrowid
    events.append(
        connection,
        f"proposal.{state}",
        project=new.project,
        task=new.task,
        run=new.run,
        proposal=str(number),
        branch=new.branch,
        head=new.head,
    )
    posts.add(
        connection,
        posts.NewPost(
            key=card_key(new.run),
            project=new.project,
            kind="card",
            text="\n".join((first_line(new.commits, new.summary), new.card, _call(new))),
            identity=new.identity,
            answers=new.answers,
            last=new.needs_vote,
            task=new.task,
            ends=ends,
            proposal=str(number),
            votable=new.needs_vote,
        ),
    )


def _taken_place_of(connection: sqlite3.Connection, new: NewProposal) -> str:
    """What somebody else made of the remote's branch, if the last vote on it was void for that; else empty."""
    row = connection.execute(
        "SELECT state, found, expected FROM proposals WHERE project = ? AND branch = ? ORDER BY id DESC LIMIT 1",
        (new.project, new.branch),
    ).fetchone()
    if row is None or row["state"] == "pushed":
        return ""
    return str(row["found"] or row["expected"])


def _call(new: NewProposal) -> str:
    if new.push_problem:
        return (
            f"⚠️ Cannot be pushed: {new.push_problem}. 👎 or `-1` discards it; once it can be pushed, 👍 or `+1` pushes "
            f"exactly {new.head[:12]} to {new.branch}."
        )
    if new.needs_vote:
        return _call_to_vote(new.head, new.branch)
    return "⚠️ This project is open: `push_requires_approval: false` pushes without a vote."


def _call_to_vote(head: str, branch: str) -> str:
    return f"👍 or `+1` pushes exactly {head[:12]} to {branch}, 👎 or `-1` discards it."


def move(
    connection: sqlite3.Connection,
    proposal: int,
    state: ProposalState,
    reason: str = "",
    *,
    edit: str = "",
    answers: str = "",
    actions: tuple[str, ...] = (),
) -> None:
    """Move a proposal to its next state. `edit` takes the place of the card's first line, or, when it is open again,
    is added to the card; with `answers` it is also the last answer to that message. `actions` are commands that the
    card then offers."""
    ended = clock.now() if state in ENDED else None
    connection.execute(
        "UPDATE proposals SET state = ?, reason = ?, ended_at = ?, not_before = NULL WHERE id = ?",
        (state, reason, ended, proposal),
    )
    row = connection.execute("SELECT * FROM proposals WHERE id = ?", (proposal,)).fetchone()
    events.append(
        connection,
        f"proposal.{state}",
        project=row["project"],
        task=row["task"],
        run=row["run"],
        proposal=str(proposal),
        branch=row["branch"],
        head=row["head"],
        reason=reason,
    )
    if edit:
        revision = row["revision"] + 1
        connection.execute("UPDATE proposals SET revision = ? WHERE id = ?", (revision, proposal))
        posts.add(
            connection,
            posts.NewPost(
                key=card_key(row["run"]),
                revision=revision,
                project=row["project"],
                kind="card",
                text=_edited(row, edit),
                answers=answers,
                last=bool(answers),
                task=row["task"],
                proposal=str(proposal),
                votable=state == "open",
                actions=actions,
            ),
        )


def _edited(row: sqlite3.Row, edit: str) -> str:
    if row["state"] != "open":
        return f"{edit}\n{row['card']}"
    first = first_line(row["commits"], row["summary"])
    return "\n".join((first, row["card"], edit, _call_to_vote(row["head"], row["branch"])))


def vote(
    connection: sqlite3.Connection,
    key: str,
    choice: str,
    author: Author,
    proposal: str | None,
    project: str | None,
    push_problem: str = "",
) -> Proposal:
    """Record a vote, once for each key; what follows from it is done by `carrying`. `push_problem` is why the project
    cannot be pushed now, if so. Raises NotFound and Conflict."""
    known = connection.execute("SELECT proposal FROM votes WHERE key = ?", (key,)).fetchone()
    if known is not None:
        return shown(row_of(connection, str(known["proposal"])))
    row = row_of(connection, proposal) if proposal is not None else _newest_open(connection, project, choice)
    wanted: dict[str, tuple[str, ProposalState]] = {
        "approve": ("open", "approved"),
        "reject": ("open", "rejected"),
        "withdraw": ("approved", "open"),
    }
    before, after = wanted[choice]
    if row["state"] != before:
        raise Conflict(f"proposal {row['id']} ({row['branch']}) is {row['state']}: the vote changes nothing")
    if choice == "approve" and row["expires_at"] <= clock.now():
        raise Conflict(f"proposal {row['id']} has expired; `!push` proposes its branch again")
    if choice == "approve" and push_problem:
        raise Unpushable(f"{row['branch']} cannot be pushed: {push_problem}. The card stays open")
    if choice == "withdraw":
        _check_own(connection, row["id"], author)
    connection.execute(
        "INSERT INTO votes (key, proposal, vote, author_id, author_name, at) VALUES (?, ?, ?, ?, ?, ?)",
        (key, row["id"], choice, author["id"], author["name"], clock.now()),
    )
    connection.execute(
        "UPDATE proposals SET answers = ?, tries = 0 WHERE id = ?", ("" if choice == "withdraw" else key, row["id"])
    )
    edits = {
        "approve": f"Approved by {plain(author['name'])} — {row['branch']} at {row['head'][:12]} is pushed next.",
        "reject": f"Rejected by {plain(author['name'])} — {row['branch']} at {row['head'][:12]} is discarded next.",
        "withdraw": "The vote was withdrawn; it is open again.",
    }
    answers = key if choice == "withdraw" else ""  # any other vote is answered by what comes of it
    move(connection, row["id"], after, f"{choice} by {author['id']}", edit=edits[choice], answers=answers)
    return shown(row_of(connection, str(row["id"])))


def _check_own(connection: sqlite3.Connection, proposal: int, author: Author) -> None:
    """Raise Conflict when the vote that counted is somebody else's: only they can take it back."""
    row = connection.execute(
        "SELECT author_id, author_name FROM votes WHERE proposal = ? AND vote = 'approve' ORDER BY rowid DESC LIMIT 1",
        (proposal,),
    ).fetchone()
    if row is not None and row["author_id"] != author["id"]:
        raise Conflict(f"the vote on proposal {proposal} is {row['author_name']}'s, who alone can withdraw it")


def _newest_open(connection: sqlite3.Connection, project: str | None, choice: str) -> sqlite3.Row:
    state = "approved" if choice == "withdraw" else "open"
    row = connection.execute(
        "SELECT * FROM proposals WHERE project = ? AND state = ? ORDER BY id DESC LIMIT 1", (project, state)
    ).fetchone()
    if row is None:
        raise NotFound(f"nothing of {project} waits for a vote; `!push` looks for branches that nobody proposed")
    assert isinstance(row, sqlite3.Row)
    return row


def row_of(connection: sqlite3.Connection, proposal: str) -> sqlite3.Row:
    """The row of a proposal by id. Raises NotFound."""
    number = proposal if proposal.isdigit() else -1
    row = connection.execute("SELECT * FROM proposals WHERE id = ?", (number,)).fetchone()
    if row is None:
        raise NotFound(f"there is no proposal {proposal!r}")
    assert isinstance(row, sqlite3.Row)
    return row


def open_of(connection: sqlite3.Connection, workspace: str) -> sqlite3.Row | None:
    """The newest open proposal of a workspace, which the next task there continues."""
    row = connection.execute(
        "SELECT * FROM proposals WHERE workspace = ? AND ended_at IS NULL AND state = 'open' ORDER BY id DESC LIMIT 1",
        (workspace,),
    ).fetchone()
    assert row is None or isinstance(row, sqlite3.Row)
    return row


def open_card(connection: sqlite3.Connection, project: str, branch: str, head: str) -> str:
    """The number of the open card of this very commit; empty if there is none."""
    row = connection.execute(
        "SELECT id FROM proposals WHERE project = ? AND branch = ? AND head = ? AND state = 'open' LIMIT 1",
        (project, branch, head),
    ).fetchone()
    return "" if row is None else str(row["id"])


def proposed(connection: sqlite3.Connection, project: str, branch: str, head: str) -> bool:
    """Whether somebody was asked about this very commit already and that is not over by expiry or refusal."""
    return (
        connection.execute(
            "SELECT 1 FROM proposals WHERE project = ? AND branch = ? AND head = ?"
            " AND state NOT IN ('expired', 'refused', 'void')",
            (project, branch, head),
        ).fetchone()
        is not None
    )


def expected(connection: sqlite3.Connection, proposal: int, url: str) -> str:
    """Where the remote's branch may be when this is pushed to this URL: where its card says, or what Herald pushed
    last, there or else anywhere (the same place may have got another URL). Empty: the branch must be absent."""
    row = row_of(connection, str(proposal))
    if row["expected"]:
        return str(row["expected"])
    last = connection.execute(
        "SELECT head FROM pushed WHERE project = ? AND branch = ? ORDER BY url = ? DESC, at DESC LIMIT 1",
        (row["project"], row["branch"], url),
    ).fetchone()
    return "" if last is None else str(last["head"])


def record_push(connection: sqlite3.Connection, row: sqlite3.Row, url: str) -> None:
    """Remember what the remote's branch is now, and where."""
    connection.execute(
        "INSERT INTO pushed (project, branch, url, head, at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (project, branch, url) DO UPDATE SET head = excluded.head, at = excluded.at",
        (row["project"], row["branch"], url, row["head"], clock.now()),
    )


def listing(connection: sqlite3.Connection, project: str | None, open_only: bool, limit: int) -> list[Proposal]:
    """Proposals, newest first."""
    conditions = ["ended_at IS NULL"] if open_only else []
    conditions += ["project = ?"] if project is not None else []
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    values = () if project is None else (project,)
    rows = connection.execute(f"SELECT * FROM proposals {where} ORDER BY id DESC LIMIT ?", (*values, limit))
    return [shown(row) for row in rows]


def count_open(connection: sqlite3.Connection) -> int:
    """Proposals that wait for a vote."""
    row = connection.execute("SELECT COUNT(*) FROM proposals WHERE ended_at IS NULL AND state = 'open'").fetchone()
    return int(row[0])


def shown(row: sqlite3.Row) -> Proposal:
    """A proposal as callers see it."""
    return Proposal(
        id=str(row["id"]),
        project=row["project"],
        task=row["task"],
        branch=row["branch"],
        base=row["base"],
        head=row["head"],
        commits=row["commits"],
        summary=row["summary"],
        state=row["state"],
        reason=row["reason"],
        created_at=row["created_at"],
    )
