"""herald-alert - tells of a unit that crashed

SYNOPSIS
    herald-alert UNIT

DESCRIPTION
    Run by systemd after each end of a unit of Herald that was no success (ExecStopPost=). Writes one entry with
    priority err to the journal: the unit, the reason in words, where to look, its last lines; and leaves the same as
    a file, which herald-gateway posts once; a crash of herald-gateway itself is posted here, by a webhook. The first
    crash of a unit is told at once, then at most one in 10 minutes with the number of those that were held back;
    instances of a template count together. Secrets are masked.

    It delays the end of the unit, so everything has a deadline: 10 s in all, 3 s for the journal, 4 s for the webhook.

ENVIRONMENT
    SERVICE_RESULT, EXIT_CODE, EXIT_STATUS, INVOCATION_ID    from systemd
    HERALD_MODE=user                                         for a user's own Herald

FILES
    STATE/alert/ID.json         an alert; removed after 7 days, or when there are more than 100
    STATE/alert/throttle.json   when each unit was told of last, and how many crashes were held back since
    STATE/gateway/alert-webhook the address of the webhook, if there is one
    CONFIG/credentials/*        read to be masked

EXIT STATUS
    0, 2 for wrong use
"""

import sys


def main() -> None:
    """Tell of the crash that the environment describes."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        sys.exit(0 if sys.argv[1:] == ["--help"] else 2)

    from herald_alert.crash import tell

    tell(sys.argv[1])


if __name__ == "__main__":
    main()
