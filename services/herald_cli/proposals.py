"""vote, proposals."""

import os
from argparse import Namespace

from herald.bus.blocking import call
from herald.errors import Conflict, Invalid, NotFound
from herald_cli.output import clock, line_of, print_json, print_table

_VOTES = {"up": "approve", "down": "reject", "withdraw": "withdraw"}


def vote(arguments: Namespace) -> int:
    """`heraldctl vote`."""
    if arguments.proposal and arguments.project:
        raise Invalid("name a proposal or a project, not both")
    proposal = arguments.proposal if arguments.proposal or arguments.project else _only_open_one()
    parameters = {
        "key": arguments.key or f"heraldctl-{os.urandom(12).hex()}",
        "vote": _VOTES[arguments.vote],
        "proposal": proposal,
        "project": arguments.project,
    }
    voted = call("worker", "Vote", parameters)
    if arguments.json:
        print_json(voted)
    else:
        print(f"proposal {voted['id']} of {voted['project']}, {voted['head'][:12]}: {voted['state']}")
    return 0


def show_proposals(arguments: Namespace) -> int:
    """`heraldctl proposals`."""
    parameters = {"project": arguments.project, "open": not arguments.all, "limit": arguments.limit}
    found = call("worker", "ListProposals", parameters)["proposals"]
    if arguments.json:
        print_json(found)
    elif not found:
        print("there is no proposal yet" if arguments.all else "no proposal is open")
    else:
        print_table(
            (
                each["id"],
                each["project"],
                each["state"],
                each["head"][:12],
                f"{each['commits']} commit{'' if each['commits'] == 1 else 's'}",
                clock(each["created_at"]),
                line_of(each["summary"])[:60],
            )
            for each in found
        )
    return 0


def _only_open_one() -> str:
    """The open proposal, if there is exactly one: a vote must not land on something else than what was meant."""
    found = call("worker", "ListProposals", {"limit": 10})["proposals"]
    if not found:
        raise NotFound("no proposal is open")
    if len(found) > 1:
        ids = ", ".join(f"{each['id']} ({each['project']})" for each in found)
        raise Conflict(f"several proposals are open: {ids}; name one, or a project (--project)")
    return str(found[0]["id"])
