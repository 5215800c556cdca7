"""herald-alert as systemd runs it after the end of a unit, with a journal of our own where there is no systemd."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

UNIT = "herald-worker.service"
INVOCATION = "0123456789abcdef0123456789abcdef"


class Place:
    """State, configuration, and a `journalctl` that prints what `says` holds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "state" / "alert"
        self.credentials = root / "etc" / "credentials"
        self.credentials.mkdir(parents=True)
        self._programs = root / "bin"
        self._programs.mkdir()
        self.program('echo "$*" >> "$0.asked"; cat "$0.says" 2>/dev/null')
        self.environment = {
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(each for each in sys.path if each),
            "HERALD_STATE": str(root / "state"),
            "HERALD_CONFIG": str(root / "etc"),
            "HERALD_MODE": "user",
            "SERVICE_RESULT": "signal",
            "EXIT_CODE": "killed",
            "EXIT_STATUS": "KILL",
            "INVOCATION_ID": INVOCATION,
        }

    def program(self, script: str) -> None:
        """What `journalctl` does, as a shell script."""
        path = self._programs / "journalctl"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def says(self, text: str | bytes) -> None:
        """What the journal holds."""
        (self._programs / "journalctl.says").write_bytes(text if isinstance(text, bytes) else text.encode())

    def asked(self) -> list[str]:
        """What the journal was asked for."""
        path = self._programs / "journalctl.asked"
        return path.read_text().splitlines() if path.exists() else []

    def start(self, unit: str = UNIT, **variables: str) -> subprocess.Popen[str]:
        """Start herald-alert."""
        command = [sys.executable, "-m", "herald_alert", unit]
        environment = self.environment | variables
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, umask=0o077
        )

    def crash(self, unit: str = UNIT, **variables: str) -> str:
        """A unit crashed: what herald-alert wrote to the journal."""
        process = self.start(unit, **variables)
        _out, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
        return said

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that were left for the gateway, oldest first."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("2*.json"))]

    def forget(self, seconds: float) -> None:
        """Let time pass for the throttle."""
        path = self.folder / "throttle.json"
        kinds = json.loads(path.read_text())
        path.write_text(json.dumps({kind: [last - seconds, held] for kind, (last, held) in kinds.items()}))
