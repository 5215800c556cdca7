"""herald-config: validates the configuration folder and compiles the snapshot.

Started without arguments by its socket, one instance for each connection, it serves io.herald.Config on
standard input. With an argument it does one thing for people or for the installer.

listens:  io.herald.Config (methods Check, Reload, AddProject and SetProject)
reads:    $HERALD_CONFIG/herald.yaml, $HERALD_CONFIG/projects/*.yaml, and of each project's path .git/config and HEAD;
          in try mode also the git configuration of whoever runs it
writes:   $HERALD_STATE/config/ (snapshot.json, handed-over.json, ledger.json, lock); asked to, $HERALD_CONFIG/projects/
prints:   FILE:LINE: FIELD: message, one line for each problem; notices go to stderr
exits:    0 nothing is wrong; 1 something is wrong; 2 usage; 4 busy; 6 the state folder is not usable
"""

import os
import stat
import sys

from herald import names
from herald.bus.oneshot import serve


def main() -> int:
    """Serve the connection on standard input, or do what the arguments say."""
    if len(sys.argv) > 1 or not stat.S_ISSOCK(os.fstat(0).st_mode):
        from herald_config import command

        return command.run(str(__doc__))
    from herald_config import service

    serve(names.interface_of(names.CONFIG), service.METHODS, open_to_people=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
