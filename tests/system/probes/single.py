"""Single acts that are forbidden to a run: pushing, finding keys, namespaces, devices, privileges."""

import contextlib
import ctypes
import os
import socket
import stat

from tests.system.probes.acts import (
    NEW_MOUNTS,
    NEW_USER,
    Act,
    Facts,
    Refused,
    call,
    command,
    connect,
    in_child,
    libc,
    own_file,
    read,
)
from tests.system.probes.places import REPOSITORIES, STATE

TABLE: dict[str, Act] = {}
_BIND, _PRIVATE = 0x1000, 0x44000


def _forbidden(act: Act) -> Act:
    TABLE[act.__name__.strip("_").replace("_", " ")] = act
    return act


def _push(facts: Facts, key: str) -> None:
    how = "-o BatchMode=yes -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5"
    really = [] if os.getuid() == 0 else ["--force"]
    ssh = {"GIT_SSH_COMMAND": f"ssh {f'-i {key}' if key else ''} {how}"}
    words = ("-c", "safe.directory=*", "push", *(really or ["--dry-run"]), facts["remote"], "HEAD:refs/heads/probe")
    command("git", *words, env=ssh, cwd=facts["workspace"])


@_forbidden
def _push_with_the_key(facts: Facts) -> None:
    _push(facts, "/etc/herald/credentials/git_ssh_key")


@_forbidden
def _find_a_private_key(_facts: Facts) -> None:
    places = ("/etc", "/run", "/srv", "/var", "/home", "/root", "/tmp", "/dev/shm", "/opt/herald/claude")
    for place in places:
        for folder, _folders, names in os.walk(place):
            for name in names:
                with contextlib.suppress(OSError), open(os.path.join(folder, name), "rb", 0) as file:
                    if stat.S_ISREG(os.fstat(file.fileno()).st_mode) and b"PRIVATE KEY" in file.read(64):
                        return
    raise Refused("none is to be found")


@_forbidden
def _reach_an_abstract_socket(facts: Facts) -> None:
    connect(f"\0{facts['abstract']}")


@_forbidden
def _reach_any_socket_in_run(facts: Facts) -> None:
    """But those by which a unit says that it is ready and what goes into the journal."""
    refusal: OSError = Refused("there is none")
    for path in facts["sockets"]:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
            with socket.socket(socket.AF_UNIX, kind) as client:
                client.settimeout(5)
                try:
                    client.connect(path)
                except OSError as error:
                    refusal = error
                else:
                    return
    raise refusal


@_forbidden
def _read_the_journal(_facts: Facts) -> None:
    if not command("journalctl", "--quiet", "--lines=1", "--output=cat", "--unit=herald-worker"):
        raise Refused("no entry is shown")


@_forbidden
def _uncover_what_is_hidden(_facts: Facts) -> None:
    def uncover() -> None:
        call("unshare", NEW_USER | NEW_MOUNTS if os.getuid() else NEW_MOUNTS)
        for place in (STATE, f"{STATE}/worker", "/srv/herald", REPOSITORIES, f"{REPOSITORIES}/other", "/etc/herald"):
            libc.umount2(place.encode(), 2)
        read(f"{REPOSITORIES}/other/README.md")

    in_child(uncover)


@_forbidden
def _mount_something(_facts: Facts) -> None:
    def mount() -> None:
        call("unshare", NEW_MOUNTS)
        call("mount", None, b"/", None, ctypes.c_ulong(_PRIVATE), None)
        call("mount", b"/usr", b"/opt", None, ctypes.c_ulong(_BIND), None)

    in_child(mount)


@_forbidden
def _make_a_device(_facts: Facts) -> None:
    with own_file() as path:
        os.mknod(f"{path}.device", stat.S_IFCHR | 0o600, os.makedev(1, 3))


@_forbidden
def _make_a_block_device(_facts: Facts) -> None:
    with own_file() as path:
        os.mknod(f"{path}.device", stat.S_IFBLK | 0o600, os.makedev(7, 0))


@_forbidden
def _set_the_user_bit(_facts: Facts) -> None:
    with own_file() as path:
        os.chmod(path, 0o4755)


@_forbidden
def _set_the_group_bit(_facts: Facts) -> None:
    with own_file() as path:
        os.chmod(path, 0o2755)


@_forbidden
def _give_a_file_capabilities(_facts: Facts) -> None:
    with own_file() as path:
        os.setxattr(path, "security.capability", bytes.fromhex("0100000202000000000000000000000000000000"))


@_forbidden
def _give_a_file_away(_facts: Facts) -> None:
    with own_file() as path:
        os.chown(path, 1, 1)


@_forbidden
def _become_root(_facts: Facts) -> None:
    in_child(lambda: os.setresuid(0, 0, 0))


@_forbidden
def _gain_privileges_by_a_program(_facts: Facts) -> None:
    if command("/opt/probes/id-of-root", "-u").strip() != "0":
        raise Refused("it runs as this user")


@_forbidden
def _open_a_raw_socket(_facts: Facts) -> None:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


@_forbidden
def _open_a_packet_socket(_facts: Facts) -> None:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
