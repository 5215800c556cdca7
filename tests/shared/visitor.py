"""Calls GetCaller of the worker as another user: `python -m tests.shared.visitor UID GID GROUP,GROUP`.

Prints the answer as JSON. The privileges are dropped after all imports: that user may not be able to read them.
"""

import json
import os
import socket
import sys

from herald import names
from herald.bus.frames import Frames

_uid, _gid, *_groups = (int(number) for number in " ".join(sys.argv[1:]).replace(",", " ").split())
_connection = socket.socket(socket.AF_UNIX)
os.setgroups(_groups)
os.setresgid(_gid, _gid, _gid)
os.setresuid(_uid, _uid, _uid)
_connection.connect(names.socket_path(names.WORKER))
_frames = Frames(_connection, 1 << 20)
_frames.send({"method": "io.herald.Worker.GetCaller"})
_received = _frames.receive()
print(json.dumps(_received[0] if _received else None))
