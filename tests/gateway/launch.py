"""Start a service as the service manager does: `python -m tests.gateway.launch FD MODULE ARGUMENT...`."""

import os
import sys

descriptor = int(sys.argv[1])
if descriptor != 3:
    os.dup2(descriptor, 3)
    os.close(descriptor)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.executable, [sys.executable, "-m", *sys.argv[2:]])
