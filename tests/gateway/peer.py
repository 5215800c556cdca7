"""A stand-in for one service, as a real process on the bus: `python -m tests.gateway.peer INTERFACE FOLDER`.

Its listening socket is fd 3. Each call is appended to FOLDER/calls.jsonl before it is answered. How it answers is
in FOLDER/script.json, read for each call, by method: `reply`, `replies` (a stream, kept open), `error` [code,
message], `delay` in seconds, `die` (before the answer). A method that it does not name is answered with {}.
"""

import fcntl
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from herald.bus.frames import Frames


def main() -> None:
    interface, folder = sys.argv[1], Path(sys.argv[2])
    listening = socket.socket(fileno=3)
    listening.setblocking(True)
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=serve, args=(interface, folder, connection), daemon=True).start()


def serve(interface: str, folder: Path, connection: socket.socket) -> None:
    frames = Frames(connection, 64 << 20)
    with connection:
        while (received := frames.receive()) is not None:
            call, descriptors = received
            for descriptor in descriptors:
                os.close(descriptor)
            method = call["method"].rpartition(".")[2]
            answer(frames, interface, method, call, folder)


def answer(frames: Frames, interface: str, method: str, call: dict[str, Any], folder: Path) -> None:
    script = json.loads((folder / "script.json").read_text()).get(method, {})
    with (folder / "calls.jsonl").open("a") as ledger:
        fcntl.flock(ledger, fcntl.LOCK_EX)
        ledger.write(json.dumps({"method": method, **call.get("parameters", {})}) + "\n")
    if script.get("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(script.get("delay", 0))
    try:
        if "error" in script:
            code, message = script["error"]
            frames.send({"error": f"{interface}.{code}", "parameters": {"message": message}})
        for reply in script.get("replies", ()):
            frames.send({"parameters": reply, "continues": True})
        if "error" not in script and "replies" not in script:
            frames.send({"parameters": script.get("reply", {})})
    except OSError:
        pass  # the caller has gone


if __name__ == "__main__":
    main()
