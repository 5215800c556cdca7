"""What a run must be able to do."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.system.probes.acts import Act, Facts, Refused, command, connect, create, read

TABLE: dict[str, Act] = {}


def _needed(act: Act) -> Act:
    TABLE[act.__name__.strip("_").replace("_", " ")] = act
    return act


@_needed
def _commit(facts: Facts) -> None:
    Path("made-by-a-probe").write_text(f"{time.time()}\n")
    command("git", "add", "made-by-a-probe")
    command("git", "commit", "--quiet", "--message", "A probe")
    if command("git", "status", "--porcelain") or os.getcwd() != facts["workspace"]:
        raise Refused("something is left to commit")


@_needed
def _use_devices(_facts: Facts) -> None:
    Path("/dev/null").write_text("x")
    for path in ("/dev/urandom", "/dev/zero"):
        with open(path, "rb") as file:
            file.read(1)


@_needed
def _use_shared_memory(_facts: Facts) -> None:
    import multiprocessing.shared_memory

    multiprocessing.Lock()
    memory = multiprocessing.shared_memory.SharedMemory(create=True, size=16)
    memory.close()
    memory.unlink()
    create("/dev/shm")


@_needed
def _use_temporary_files(facts: Facts) -> None:
    if os.environ["TMPDIR"] != "/tmp":
        raise Refused(os.environ["TMPDIR"])
    for folder in ("/tmp", "/var/tmp"):
        create(folder)
        Path(folder, facts["mark"]).write_text("x")
    Path("/dev/shm", facts["mark"]).write_text("x")


@_needed
def _serve_on_a_socket_of_its_own(_facts: Facts) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/tmp/probe-{os.getpid()}.sock")
        server.listen()
        connect(f"/tmp/probe-{os.getpid()}.sock")


@_needed
def _resolve_names(_facts: Facts) -> None:
    read("/etc/resolv.conf")
    read("/etc/nsswitch.conf")
    socket.getaddrinfo("localhost", 80)


@_needed
def _speak_over_the_network(_facts: Facts) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        socket.create_connection(server.getsockname(), 5).close()


@_needed
def _read_programs_and_their_data(_facts: Facts) -> None:
    for path in (
        "/etc/passwd",
        "/etc/ssl/certs/ca-certificates.crt",
        "/usr/share",
        "/usr/lib/os-release",
        "/proc/self",
    ):
        read(path)


@_needed
def _write_into_home_and_workspace(facts: Facts) -> None:
    for folder in (os.environ["HOME"], facts["workspace"]):
        create(folder)
        with tempfile.TemporaryDirectory(dir=folder) as inner:
            os.rename(_make(folder), os.path.join(inner, "moved"))


def _make(folder: str) -> str:
    path = os.path.join(folder, f"moved-{os.getpid()}")
    Path(path).write_text("x")
    return path


@_needed
def _signal_its_own_processes(_facts: Facts) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        os.killpg(os.getpgid(child.pid), 0)
        child.terminate()
        if child.wait() != -signal.SIGTERM:
            raise Refused("it did not end")


@_needed
def _run_other_interpreters(_facts: Facts) -> None:
    command("bash", "-c", "cat <(echo x) && perl -e 1")
    command("python3", "-m", "venv", "--without-pip", os.path.join(os.environ["TMPDIR"], "a-venv"))


@_needed
def _read_the_key_that_it_pays_with(facts: Facts) -> None:
    """And no other credential: what its environment holds is what the documents say."""
    if os.environ["ANTHROPIC_API_KEY"] != facts["key"] or "CLAUDE_CODE_OAUTH_TOKEN" in os.environ:
        raise Refused("other credentials are in the environment")
