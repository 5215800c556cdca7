"""A stand-in for the docker command: it writes down how it was called, and does what it is told.

The folder that it lies in holds `orders.json`, a list of orders, one for each call (the last one holds on):
`say` text, `flood` MiB of lines, `write` files below the tree, `leave` a child in a session of its own, `wait` until
the file `go` is there, `deaf` to SIGTERM, `exit` code.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    """One call of the command."""
    folder = Path(sys.argv[0]).parent
    calls = folder / "calls.jsonl"
    number = len(calls.read_text().splitlines()) if calls.exists() else 0
    orders = json.loads((folder / "orders.json").read_text())
    order = orders[min(number, len(orders) - 1)]
    if order.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    call = {"argv": sys.argv[1:], "environment": dict(os.environ), "cwd": os.getcwd(), "pid": os.getpid()}
    call["files"] = files_below(os.environ["HERALD_TREE"])
    call["stdin"] = sys.stdin.read()
    with calls.open("a") as file:
        file.write(json.dumps(call) + "\n")
    sys.stdout.write(order.get("say", ""))
    sys.stdout.flush()
    for name, text in order.get("write", {}).items():
        path = Path(os.environ["HERALD_TREE"], name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for _ in range(order.get("flood", 0)):
        sys.stdout.write(f"{'x' * 1023}\n" * 1024)
    if order.get("leave") and os.fork() == 0:
        os.setsid()
        (folder / "left").write_text(str(os.getpid()))
        time.sleep(60)
        os._exit(0)
    while order.get("leave") and not (folder / "left").exists():
        time.sleep(0.01)
    while order.get("wait") and not (folder / "go").exists():
        time.sleep(0.01)
    sys.exit(order.get("exit", 0))


def files_below(tree: str) -> dict[str, str]:
    """What every file of the tree holds, and where every link leads."""
    found = {}
    for folder, folders, names in os.walk(tree):
        for name in (*names, *folders):
            path = Path(folder, name)
            if path.is_symlink():
                found[str(path.relative_to(tree))] = f"-> {path.readlink()}"
            elif path.is_file():
                found[str(path.relative_to(tree))] = path.read_text(errors="replace")
    return found


if __name__ == "__main__":
    main()
