"""discord check: what Herald lacks in Discord."""

from argparse import Namespace

from herald.bus.blocking import call
from herald_cli.output import line_of, print_json, print_note

_DEADLINE = 60.0


def check(arguments: Namespace) -> int:
    """`heraldctl discord check`: 0 when nothing is missing, 1 with what is, 6 without a connection."""
    checked = call("gateway", "CheckDiscord", deadline=_DEADLINE)
    if arguments.json:
        print_json(checked)
        return 1 if checked["findings"] else 0
    if checked["bot"]:
        print(f"connected as {line_of(checked['bot'])}")
    for place in checked["places"]:
        print(f"looked at {line_of(place)}")
    for each in checked["findings"]:
        print_note(f"{line_of(each['place'])}: {line_of(each['problem'])}\n    {line_of(each['remedy'])}")
    if not checked["findings"]:
        print("nothing is missing")
    return 1 if checked["findings"] else 0
