"""Why a unit ended, in words, from what systemd says of it."""

_STATUS = {
    "200": "its working folder cannot be entered",
    "203": "its program cannot be started: is the installation complete? `./install.sh` repairs it",
    "206": "its journal or socket cannot be set up",
    "216": "its group does not exist: `systemd-sysusers` makes it",
    "217": "its user does not exist: `systemd-sysusers` makes it",
    "218": "its capabilities cannot be set",
    "226": "its sandbox cannot be set up: a folder that the unit names may be missing (`systemd-tmpfiles --create`)",
    "227": "it cannot give up privileges",
    "228": "its filter of system calls cannot be set",
    "233": "its runtime folder cannot be made",
    "238": "its state folder cannot be made",
    "240": "its configuration folder cannot be made",
    "243": "its credentials cannot be loaded: look at the files that its LoadCredential= names",
}
"""Exit statuses that systemd gives when the program did not even begin (systemd.exec(5))."""

_RESULTS = {
    "watchdog": "it gave no sign of life for longer than WatchdogSec= and was ended",
    "oom-kill": "out of memory; the kernel killed it (MemoryMax= of the unit, or the machine's own)",
    "timeout": "it did not start or stop in time, or ran longer than RuntimeMaxSec=, and was ended",
    "protocol": "it ended before it said that it is ready",
    "resources": "systemd could not provide what the unit needs",
    "start-limit-hit": "it was started too often in a short time",
}


def words(result: str, code: str, status: str) -> str:
    """Why, from SERVICE_RESULT, EXIT_CODE and EXIT_STATUS."""
    if result in ("signal", "core-dump") or (code in ("killed", "dumped") and result not in _RESULTS):
        return f"killed by SIG{status or '?'}" + (", core dumped" if code == "dumped" else "")
    if result == "exit-code":
        known = _STATUS.get(status)
        return f"exit status {status or '?'}" + (f", {known}" if known else "")
    return _RESULTS.get(result, f"systemd calls it {result or 'nothing'} ({code or '?'}/{status or '?'})")
