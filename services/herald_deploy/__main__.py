"""herald-deploy - one start of a project's containers

SYNOPSIS
    herald-deploy [--help]

DESCRIPTION
    Serves io.herald.Deploy on the connection that systemd hands over as standard input; one instance for each
    connection, and it ends with it. Start unpacks the tree of a commit into a folder of this unit's own, then runs
    the compose command on it, with `up --build -d`, once. Nothing of it is taken from a folder that an agent can
    write. Command, container socket and compose file come from the compiled configuration by project name.

    The compose file is the operator's where `deploy.compose_path` is absolute, else one of the tree. The command
    finds the tree in the variable HERALD_TREE, the commit in HERALD_COMMIT.

FILES
    STATE/deploy/PROJECT/lock          held while a deployment of this project goes on
    STATE/deploy/PROJECT/trees/COMMIT  a tree; COMMIT.made says that it is whole, COMMIT.new is not
    STATE/deploy/PROJECT/deployed      which tree was deployed last
    STATE/deploy/docker                configuration of the docker command (DOCKER_CONFIG)
"""

import sys

from herald.bus import oneshot
from herald_deploy.start import START


def main() -> None:
    if len(sys.argv) > 1:
        print(__doc__)
        sys.exit(0 if sys.argv[1] == "--help" else 2)
    oneshot.serve("io.herald.Deploy", {"Start": START})


if __name__ == "__main__":
    main()
