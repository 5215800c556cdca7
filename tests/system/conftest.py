"""Booted machines with Herald installed, on each system.

`machine`, with `bus`, `forge` and `remote`: one for all tests of a module; its project `demo` has a remote that is
reached over ssh, and the stand-in for an agent. `fresh`: one for a test alone, as the installation left it.
`claude_api`: for the length of a test the agent of `machine` is the real CLI, which talks to this peer.
"""

import atexit
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import anthropic, claude
from tests.support.anthropic import Api
from tests.system import layers
from tests.system import machine as machines
from tests.system.bus import Bus
from tests.system.forge import Forge, Remote, set_agent, set_credential
from tests.system.layers import Layer
from tests.system.machine import Machine
from tests.system.systems import SYSTEMS, System, obstacle

CLAUDE = "/opt/claude-cli"
"""Where a machine has the real CLI."""

STANDIN = {"HERALD_AGENT": "standin", "CLAUDE_STANDIN_SHELL": "1"}
"""What makes the stand-in the agent."""


class Site(NamedTuple):
    """A machine and what is in it."""

    machine: Machine
    bus: Bus
    forge: Forge
    remote: Remote


@pytest.fixture(scope="session")
def all_layers() -> Iterator[dict[str, Layer]]:
    """Each system with these sources installed; skips where no machine can be booted."""
    if reason := obstacle():
        pytest.skip(reason)
    machines.sweep()
    atexit.register(machines.end_all)
    with ExitStack() as stack:
        with ThreadPoolExecutor() as threads:
            try:
                made = list(threads.map(lambda each: layers.installed(each, stack), SYSTEMS))
            except BaseException:  # also an interrupt, which shall not wait for an installation
                machines.halt_all()
                raise
        yield {each.system.name: each for each in made}
        left = machines.end_all()
    assert not left, f"machines that no test ended: {left}"


@pytest.fixture(scope="module", params=SYSTEMS, ids=lambda system: system.name)
def system(request: pytest.FixtureRequest) -> System:
    """Each system in turn."""
    found: System = request.param
    return found


@pytest.fixture(scope="module")
def layer(system: System, all_layers: dict[str, Layer]) -> Layer:
    """The system with Herald installed."""
    return all_layers[system.name]


@pytest.fixture(scope="module")
def site(layer: Layer) -> Iterator[Site]:
    """What `machine`, `bus`, `forge` and `remote` are parts of."""
    with machine_of(layer) as found:
        found.boot()
        set_agent(found, **STANDIN)
        forge = Forge(found)
        yield Site(found, Bus(found), forge, forge.project("demo"))
        found.power_off()


def machine_of(layer: Layer) -> Machine:
    """A machine over a layer, to be booted; it sees the real CLI where that is installed."""
    return Machine(layer.system, layer.folders, binds={CLAUDE: path} if (path := _claude()) else {})


def _claude() -> Path | None:
    """The CLI as one program; what needs an interpreter beside it would not run inside."""
    try:
        path = Path(claude.installed()).resolve()
    except pytest.skip.Exception:
        return None
    with path.open("rb") as file:
        return path if file.read(4) == b"\x7fELF" else None


@pytest.fixture(scope="module")
def machine(site: Site) -> Machine:
    """Booted, with a project `demo` whose agent is the stand-in; shared by the tests of a module."""
    return site.machine


@pytest.fixture(scope="module")
def bus(site: Site) -> Bus:
    """The bus of `machine`, for root."""
    return site.bus


@pytest.fixture(scope="module")
def forge(site: Site) -> Forge:
    """The server of remotes in `machine`."""
    return site.forge


@pytest.fixture(scope="module")
def remote(site: Site) -> Remote:
    """The remote of `demo`."""
    return site.remote


@pytest.fixture
def fresh(layer: Layer) -> Iterator[Machine]:
    """Booted, as the installation left it, for one test."""
    with machine_of(layer) as found:
        found.boot()
        yield found


@pytest.fixture
def claude_api(machine: Machine, tmp_path: Path) -> Iterator[Api]:
    """The peer of the real CLI, which is the agent of `machine` now."""
    claude.installed()
    if _claude() is None:
        pytest.skip("the Claude CLI that is named is no program of its own; unset HERALD_TEST_CLAUDE")
    with anthropic.serve(tmp_path) as api:
        given = api.environment(HERALD_CLAUDE=CLAUDE)
        set_credential(machine, "anthropic_api_key", given.pop("ANTHROPIC_API_KEY"))
        set_agent(machine, **given)
        yield api
        set_agent(machine, **STANDIN)
        set_credential(machine, "anthropic_api_key", "")
