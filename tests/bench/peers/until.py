"""How long a unit takes from `systemctl start` until its sockets answer, or without sockets until it has started.

python until.py UNIT [SOCKET ...]     prints {"milliseconds": N}; needs the standard library alone
"""

import json
import os
import socket
import subprocess
import sys
import time

_LONGEST = 60.0


def answers(path: str, until: float) -> None:
    """Return as soon as the service has answered io.herald.NAME.GetStatus on its socket."""
    call = json.dumps({"method": f"{os.path.basename(path)}.GetStatus", "parameters": {}}).encode() + b"\0"
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_LONGEST)
                connection.connect(path)
                connection.sendall(call)
                data = b""
                while not data.endswith(b"\0"):
                    part = connection.recv(1 << 16)
                    if not part:
                        raise ConnectionResetError
                    data += part
                if "error" in json.loads(data[:-1]):
                    raise SystemExit(data.decode())
                return
        except (FileNotFoundError, ConnectionError):
            if time.monotonic() > until:
                raise
            time.sleep(0.001)


def main(unit: str, paths: list[str]) -> None:
    """Start the unit and wait."""
    begun = time.monotonic()
    with subprocess.Popen(["systemctl", "start", unit]) as starting:
        for path in paths:
            answers(path, begun + _LONGEST)
        if not paths:
            starting.wait()
        took = time.monotonic() - begun
    if starting.returncode:
        raise SystemExit(f"{unit} did not start")
    print(json.dumps({"milliseconds": took * 1e3}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
