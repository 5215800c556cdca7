"""herald-agent where files cannot be watched: a filter of system calls in front of the real program."""

import errno
import os

from tests.agent.without_landlock import refuse

_INOTIFY_INIT1 = {"x86_64": 294, "aarch64": 26}[os.uname().machine]

if __name__ == "__main__":
    refuse({_INOTIFY_INIT1: errno.EMFILE})
    from herald_agent.__main__ import main

    main()
