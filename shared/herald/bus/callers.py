"""Who calls, and the one table of who may call what.

In this order (rules of people and rights): a uid of the table of service users is exactly that service; else root
or a member of group `herald` is a person; else refused. In try and user mode all share one uid: there the mode of
the bus folder is the border, that uid may call everything, any other is refused.
"""

import array
import contextvars
import errno
import functools
import grp
import os
import pwd
import socket
import struct
from typing import Literal, NamedTuple

from herald import names

_SO_PEERGROUPS = 59
_LARGEST_OPTION = 1024
"""Bytes that Python hands out of a socket option."""
_MOST_GROUPS = 65536
"""NGROUPS_MAX of the kernel."""
_GROUP = "herald"

_EVERY = frozenset({"*"})
_TABLE: dict[str, dict[str, frozenset[str]]] = {
    names.GATEWAY: {"io.herald.Worker": _EVERY, "io.herald.Config": _EVERY},
    names.WORKER: {
        "io.herald.Gateway": frozenset({"Post", "ShowProgress", "GetStatus"}),
        "io.herald.Agent": _EVERY,
        "io.herald.Git": _EVERY,
        "io.herald.Deploy": _EVERY,
        "io.herald.Config": _EVERY,
    },
}
_PEOPLE: dict[str, frozenset[str]] = {
    "io.herald.Worker": _EVERY,
    "io.herald.Config": _EVERY,
    "io.herald.Gateway": frozenset({"Say", "ListPosts", "Watch", "GetStatus", "CheckDiscord"}),
}
_ANYONE = "org.varlink.service"


class Caller(NamedTuple):
    """One end of a connection. `name` is the service or the Unix user."""

    kind: Literal["service", "person", "stranger"]
    name: str
    uid: int

    @property
    def author(self) -> str:
        """The id under which this caller speaks."""
        return f"herald:{self.name}" if self.kind == "service" else f"unix:{self.name}"

    @property
    def speaks_for_others(self) -> bool:
        """Whether this caller may hand in what other people said: the gateway alone, where users are told apart."""
        return (self.kind == "service" and self.name == names.GATEWAY) or (
            self.kind == "person" and names.mode() != "system"
        )

    def may_call(self, interface: str, method: str) -> bool:
        """Whether the table allows it."""
        if interface == _ANYONE:
            return True
        if self.kind == "stranger":
            return False
        if self.kind == "person" and names.mode() != "system":
            return True
        table = _PEOPLE if self.kind == "person" else _TABLE.get(self.name, {})
        methods = table.get(interface, frozenset())
        return methods is _EVERY or method in methods


_current: contextvars.ContextVar[Caller] = contextvars.ContextVar("caller")


def current() -> Caller:
    """The caller of the method that is being served."""
    return _current.get()


def becomes(caller: Caller) -> contextvars.Token[Caller]:
    """Make this the current caller of the context."""
    return _current.set(caller)


def leaves(token: contextvars.Token[Caller]) -> None:
    """Undo `becomes`."""
    _current.reset(token)


def identify(connection: socket.socket) -> Caller:
    """Who is at the other end, by the kernel's word."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, gid = struct.unpack("3i", credentials)
    if names.mode() != "system":
        return Caller("person" if uid == os.getuid() else "stranger", _user(uid), uid)
    service = _service_users().get(uid)
    if service is not None:
        return Caller("service", service, uid)
    if uid == 0 or _in_group(connection, gid):
        return Caller("person", _user(uid), uid)
    return Caller("stranger", _user(uid), uid)


def _in_group(connection: socket.socket, gid: int) -> bool:
    try:
        wanted = grp.getgrnam(_GROUP).gr_gid
    except KeyError:
        return False
    groups = array.array("I")
    groups.frombytes(_peer_groups(connection))
    return wanted == gid or wanted in groups  # the kernel's list need not hold the primary group


def _peer_groups(connection: socket.socket) -> bytes:
    try:
        return connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _LARGEST_OPTION)
    except OSError as error:
        if error.errno != errno.ERANGE:
            raise
    import ctypes  # for the few who are in more than 256 groups

    size = ctypes.c_uint(_MOST_GROUPS * 4)
    groups = ctypes.create_string_buffer(size.value)
    option = (socket.SOL_SOCKET, _SO_PEERGROUPS, groups, ctypes.byref(size))
    if ctypes.CDLL(None, use_errno=True).getsockopt(connection.fileno(), *option) != 0:
        raise OSError(ctypes.get_errno(), "the groups of the caller cannot be read")
    return groups.raw[: size.value]


@functools.cache
def _service_users() -> dict[int, str]:
    found = {}
    for service in (*names.LONG_RUNNING, *names.ON_CONNECT):
        try:
            found[pwd.getpwnam(f"herald-{service}").pw_uid] = service
        except KeyError:
            continue
    return found


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
