"""Tries everything and writes down what came of it."""

import contextlib
import errno
import json
import os
import sys
from pathlib import Path

from tests.system.probes import FORBIDDEN, NEEDED
from tests.system.probes.acts import Act, Facts


def _driver() -> int:
    """The last ancestor before the service manager; it may be out of sight."""
    pid = os.getpid()
    with contextlib.suppress(FileNotFoundError):
        while (parent := int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])) > 1:
            pid = parent
    return pid


def attempt(act: Act, facts: Facts) -> str:
    """Why an act failed; empty when it succeeded."""
    try:
        act(facts)
    except OSError as error:
        return f"{errno.errorcode.get(error.errno or 0, '')} {error}".strip()
    return ""


def main() -> None:
    """Try everything, write down what came of it."""
    facts = json.loads(Path(sys.argv[1]).read_text())
    is_root = os.getuid() == 0
    facts["pids"]["driver"] = facts["pids"]["other-driver"] if is_root else _driver()
    answers = {name: attempt(act, facts) for name, act in FORBIDDEN.items()}
    if not is_root:
        answers |= {f"needed: {name}": attempt(act, facts) for name, act in NEEDED.items()}
    Path(facts["answers"]).write_text(json.dumps(answers, indent=1))


if __name__ == "__main__":
    main()
