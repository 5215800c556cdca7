"""herald-try - Herald in the foreground, for trying it

Does: starts all services under a small inetd that reads the same unit files as systemd would, with the terminal as
  the chat. A terminal on stdin is a chat; of anything else each line is a message in the project's channel, taken
  when the one before is answered. `+1` and `-1` vote on the newest open proposal, `!help` lists the commands.
Listens: one socket for each interface in a temporary folder, which is told on stderr.
Reads: units/, the configuration in DIR/etc.
Writes: DIR/lock, DIR/try (project, cursor of printed posts), DIR/etc/projects (the project's first file), DIR/sample;
  posts on stdout, everything else on stderr.
Exits: 0 all done, 1 a task failed or was parked or a push was refused, 2 usage, 3 a precondition is missing,
  128 and the signal's number when a signal ended it.
"""

import argparse
import sys

from herald_try import command


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="herald-try", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--project", metavar="PATH", help="an existing clone with a remote (default: a sample)")
    parser.add_argument("--agent", choices=("claude", "standin"), help="default: claude when installed and logged in")
    parser.add_argument("--state", metavar="DIR", help="kept and used again (default: a temporary one, removed)")
    sys.exit(command.run(parser.parse_args()))


if __name__ == "__main__":
    main()
