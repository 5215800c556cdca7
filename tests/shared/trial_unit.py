"""A unit that serves one connection, for trying the lean end of the bus. Its acts are counted in $HERALD_STATE/acts."""

import os
from pathlib import Path
from typing import Any

from herald.bus import limits
from herald.bus.oneshot import Call, Descriptor, Method, serve
from herald.errors import Conflict


def _act(call: Call) -> dict[str, Any]:
    with Path(os.environ["HERALD_STATE"], "acts").open("a") as file:
        file.write("x")
    given = call.parameters
    if given["text"] == "conflict":
        raise Conflict("not now")
    if given["text"] == "missing":
        os.stat("/nonexistent/file")
    if given["text"] == "bug":
        raise ZeroDivisionError("a bug")
    return {"given": {name: value for name, value in given.items() if name != "file"}}


def _read(call: Call) -> dict[str, Any]:
    first, second = (os.pread(call.parameters[name], 100, 0).decode() for name in ("file", "other"))
    return {"file": first, "other": second, "open": len(os.listdir("/proc/self/fd"))}


def _talk(call: Call) -> None:
    for number in range(3):
        call.reply({"number": number}, continues=True)
    Path(os.environ["HERALD_STATE"], "gone").write_text(str(call.caller_gone))
    call.reply({"number": 3})


METHODS = {
    "Act": Method(
        _act,
        {"text": str, "number": int, "share": float, "flag": bool, "names": list, "note": str},
        {"number": 7, "share": 0.5, "flag": False, "names": [], "note": ""},
    ),
    "Read": Method(_read, {"file": Descriptor, "other": Descriptor}),
    "Talk": Method(_talk, {}),
}

if __name__ == "__main__":
    limits.PARTIAL_FRAME = float(os.environ.get("TRIAL_PARTIAL", "30"))
    Path(os.environ["HERALD_STATE"]).mkdir(exist_ok=True)
    serve("io.herald.Config", METHODS)
