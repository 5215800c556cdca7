"""A clone to run install.sh in, with stand-ins for what it calls: they only note down what they are asked to do."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCKS = ("pyproject.toml", "packaging/requirements-build.txt", "packaging/requirements.txt")
NOBODY = 65534

_REAL = shutil.which("python3", path="/usr/bin") or sys.executable
"""One that another user may run, too."""

_PYTHON = """\
#!/bin/sh
case "$*" in
*json.load*) exec @python@ "$@" ;;
esac
echo "$*" >>"$NOTES"
case "$*" in
*version_info*) exit ${VERSION_PROBLEM:-0} ;;
*ensurepip*) exit ${VENV_PROBLEM:-0} ;;
*sys.version*) echo "${PYTHON_VERSION:-3.11}" ;;
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
*"-m pip "*--no-deps*)
  sleep ${PIP_TIME:-0.2}
  if [ -n "${PIP_PROBLEM:-}" ]; then echo "no such release"; exit 1; fi
  printf '#!/bin/sh\\necho "tried $*"\\n' >"${0%python}herald-try"
  printf '#!/bin/sh\\n[ "$*" = "call io.herald.Agent.Check {}" ] && echo "$CHECK"\\n' >"${0%python}heraldctl"
  chmod +x "${0%python}herald-try" "${0%python}heraldctl" ;;
esac
"""

_SYSTEMCTL = """\
#!/bin/sh
case "$*" in
--version) echo "systemd ${SYSTEMD:-252} (stand-in)" && exit ;;
*show-environment) exit ${MANAGER_PROBLEM:-0} ;;
*"--quiet is-active "*) [ -e "$MANAGER/$4" ] && exit || exit 3 ;;
*"--quiet is-enabled "*) exit 1 ;;
*"show -P MainPID "*) cat "$MANAGER/$5" 2>/dev/null || echo 0; exit ;;
*list-units*) exit ;;
esac
echo "systemctl $*" >>"$NOTES"
case "$2" in
start) touch "$MANAGER/$3" ;;
stop) rm -f "$MANAGER/$3" ;;
esac
"""

_SYSTEMD_RUN = """\
#!/bin/sh
case "$*" in
*PrivateUsers=yes*) exit ${NAMESPACE_PROBLEM:-0} ;;
*"syscall(444"*)
  for each in "$@"; do
    case "$each" in StandardOutput=truncate:*) echo "${LANDLOCK:-yes}" >"${each#*:}" ;; esac
  done ;;
esac
"""

_LOGINCTL = """\
#!/bin/sh
echo "loginctl $*" >>"$NOTES"
exit ${LINGER_PROBLEM:-0}
"""

_FINDINGS = '{"agent": "stand-in", "credential": "", "missing": ["no key"], "not_held": ["writes everywhere"]}'


class Clone:
    """A clone whose only interpreters and service managers are stand-ins. `user` is whoever runs install.sh."""

    def __init__(self, folder: Path, user: int | None = None) -> None:
        self.folder = folder / "a clone"
        self.home = folder / "home"
        self.user = user
        self._manager = folder / "manager"
        for place in (self.home, self._manager):
            place.mkdir()
            if user is not None:
                os.chown(place, user, user)
        self.folder.mkdir()
        for name in ("install.sh", *LOCKS):
            (self.folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, self.folder / name)
        for name in ("packaging/install", "packaging/etc", "packaging/sysusers.d", "packaging/tmpfiles.d", "units"):
            shutil.copytree(ROOT / name, self.folder / name)
        for name in ("README.md", "shared/one.py", "services/two.py"):
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_text("", encoding="utf-8")
        self.programs = folder / "bin"
        self.programs.mkdir()
        for name in ("python3.13", "python3.12", "python3.11", "python3"):
            self._program(name, _PYTHON.replace("@python@", _REAL))
        self._program("systemctl", _SYSTEMCTL)
        self._program("systemd-run", _SYSTEMD_RUN)
        self._program("loginctl", _LOGINCTL)
        self.notes = folder / "notes"
        self.notes.touch()
        self.notes.chmod(0o666)

    def _program(self, name: str, text: str) -> None:
        (self.programs / name).write_text(textwrap.dedent(text), encoding="utf-8")
        (self.programs / name).chmod(0o755)

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start install.sh."""
        places = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "NOTES": str(self.notes),
            "MANAGER": str(self._manager),
            "HERALD_PYTHON": str(self.programs / "python3"),
            "CHECK": _FINDINGS,
            "XDG_RUNTIME_DIR": str(self._manager),
        }
        return subprocess.Popen(
            [self.folder / "install.sh", *arguments],
            env={**places, **environment},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
            start_new_session=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of install.sh."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate()
        return process.returncode, out, err

    def asked(self, word: str = "-m ") -> list[str]:
        """What the stand-ins were asked to do: the interpreters, except to tell about themselves, or the others."""
        lines = self.notes.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.startswith(word)]

    def runs(self, unit: str, pid: int = 0) -> None:
        """Let the service manager say that a unit is active."""
        (self._manager / unit).write_text(str(pid), encoding="utf-8")

    def is_active(self, unit: str) -> bool:
        """Whether the service manager has it running."""
        return (self._manager / unit).exists()

    def add(self, name: str, text: str = "# changed\n") -> None:
        """Add to a file of the clone."""
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(text)

    def tree(self) -> dict[str, tuple[object, ...]]:
        """Everything below the home folder and the clone, as far as a change would show."""
        found: dict[str, tuple[object, ...]] = {}
        for top in (self.home, self.folder):
            for path in top.rglob("*"):
                status = path.lstat()
                found[str(path)] = (status.st_mode, status.st_mtime_ns, status.st_uid, status.st_ino)
        return found
