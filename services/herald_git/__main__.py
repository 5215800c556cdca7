"""herald-git - one act with a project's git remote

SYNOPSIS
    herald-git [--help]

DESCRIPTION
    Serves io.herald.Git on the connection that systemd hands over as standard input; one instance for each
    connection, and it ends with it. Fetch updates Herald's own bare repository of a project from the remote and
    packs what the caller lacks. Push pushes exactly one commit hash to one branch of the agent, never to the
    default branch, and only if the branch is absent at the push URL or where the caller expects it, and the submodules'
    remotes have what the commit names. A fetch also tells what a push will meet: a branch in the way, a key that may
    not write. FetchSubmodule and CheckSubmodule fetch a submodule, if its address is accepted. FetchLargeFile
    and PushLargeFiles do the same with single files that git-lfs keeps outside the repository.

    Both URLs come from the compiled configuration by project name. ssh, https and absolute paths are
    allowed. No repository of anybody else is ever opened: the worker's objects are read as alternates.

ENVIRONMENT
    CREDENTIALS_DIRECTORY   git_ssh_key in it is the key for ssh remotes; blank: there is none
    HERALD_GIT_DEADLINE     seconds for one fetch or push (120); the first fetch of a project may take 8 times that

FILES
    STATE/git/PROJECT.git   own bare repository; a damaged one is renamed to PROJECT.git.damaged-TIME and made anew
    STATE/git/PROJECT+DIGEST.git   the same for one submodule
    STATE/git/PROJECT.submodules.json   addresses of submodules, as named at the first fetch
    STATE/git/PROJECT.git/herald-prospects.json  what a push met when it was tried last, without changing anything
    STATE/git/PROJECT.lock  held while an act with this project goes on
    STATE/git/known_hosts   host keys, each taken at the first contact (system mode)
"""

import sys

from herald.bus import oneshot
from herald_git.acts import METHODS


def main() -> None:
    if len(sys.argv) > 1:
        print(__doc__)
        sys.exit(0 if sys.argv[1] == "--help" else 2)
    oneshot.serve("io.herald.Git", METHODS)


if __name__ == "__main__":
    main()
