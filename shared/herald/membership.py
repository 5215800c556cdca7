"""Why somebody is kept out of Herald, and how that is changed: said wherever a file or socket is refused.

Imported only when something was refused.
"""

import grp
import os
import pwd

from herald import names

GROUP = "herald"


def refusal(path: str) -> str:
    """The reason for which this user may not use `path`, and the next step."""
    user = _user()
    if names.mode() != "system":
        return f"{path} belongs to another user: each user has a Herald alone; {user} may not use this one"
    if user in {f"herald-{service}" for service in (*names.LONG_RUNNING, *names.ON_CONNECT)}:
        return f"{path} is not for {user}: the users of Herald's own services call nothing by hand; ask as yourself"
    try:
        group = grp.getgrnam(GROUP)
    except KeyError:
        return f"{path} may not be used by {user}, and there is no group {GROUP}; install Herald with ./install.sh"
    if group.gr_gid in (os.getegid(), *os.getgroups()):
        return f"{path} is not open to people, members of group {GROUP} included; it is for Herald's own services"
    if user in group.gr_mem:
        return (
            f"{path} is for members of group {GROUP}; {user} has become one after this session began: log in again,"
            f" or use `newgrp {GROUP}`"
        )
    return (
        f"{path} is for members of group {GROUP}, and {user} is none: `sudo usermod -aG {GROUP} {user}`, then log in"
        " again"
    )


def start() -> str:
    """What starts Herald here."""
    return {
        "system": "`systemctl start herald.target` starts it",
        "user": "`systemctl --user start herald.target` starts it",
    }.get(names.mode(), "`./install.sh try` starts it")


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
