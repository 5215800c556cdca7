"""The environment of the services, built from nothing."""

import os
import shlex
from collections.abc import Callable, Mapping

from herald import names
from herald_try.agent import Agent
from herald_try.place import Place

_GIT_CONFIGURATION = ("HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
"""Where the caller's git looks for its configuration: what it says about remotes holds in a try."""


def of_herald(place: Place) -> dict[str, str]:
    """The variables that bind any Herald program to this try."""
    return {
        "HERALD_BUS": place.bus,
        "HERALD_STATE": place.state,
        "HERALD_CONFIG": place.config,
        "HERALD_MODE": "try",
    }


def of_services(place: Place, boot_id: str, agent: Agent, caller: Mapping[str, str]) -> Callable[[str], dict[str, str]]:
    """Gives the environment of a service by the name of its unit; of the caller's only what is named here."""
    common = {
        **of_herald(place),
        "HERALD_BOOT_ID": boot_id,
        "PATH": caller.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
    }
    if "HERALD_DEBUG" in caller:
        common["HERALD_DEBUG"] = caller["HERALD_DEBUG"]
    own_keys = {name: caller[name] for name in ("HOME", "SSH_AUTH_SOCK") if name in caller}
    own_git = {name: caller[name] for name in _GIT_CONFIGURATION if name in caller}
    further = {
        f"herald-{names.AGENT}": agent.environment,
        f"herald-{names.GIT}": own_keys,
        f"herald-{names.CONFIG}": own_git,
    }

    def of(unit: str) -> dict[str, str]:
        home = os.path.join(place.state, unit.removeprefix("herald-"))
        return {**common, "HOME": home, **further.get(unit, {})}

    return of


def command_line(place: Place, program: str) -> str:
    """A command line for any shell that runs a Herald program on this try."""
    assignments = [f"{name}={value}" for name, value in of_herald(place).items()]
    return shlex.join(["env", *assignments, program])
