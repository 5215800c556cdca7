"""What a run may reach: its own, and nothing of anybody else. By Landlock, or else by a mount namespace."""

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from herald_agent import landlock
from tests.agent.apart import SECRET, Apart
from tests.agent.place import git, wait_for
from tests.support import anthropic

_HAS_LANDLOCK = landlock.version() > 0
_BOTH_MEANS = pytest.mark.parametrize("means", ["landlock", "namespace"])
_BOTH_MODES = pytest.mark.parametrize("mode", ["system", "user"])


@pytest.fixture
def mode() -> str:
    return "system"


@pytest.fixture
def means() -> str:
    return "landlock"


@pytest.fixture
def apart(mode: str, means: str) -> Iterator[Apart]:
    """Not below /tmp, which is the run's own on a server."""
    if means == "landlock" and not _HAS_LANDLOCK:
        pytest.skip("this kernel has no Landlock, or does not give it to this process")
    folder = Path(tempfile.mkdtemp(prefix="herald-test-", dir="/var/tmp"))
    place = Apart(folder, mode)
    if means == "namespace":
        place.without_landlock()
    yield place
    place.close()
    shutil.rmtree(folder)


@_BOTH_MEANS
@_BOTH_MODES
def test_an_agent_reads_and_writes_nothing_of_others(apart: Apart) -> None:
    reads = [f"grep {SECRET} {path}" for path in apart.secrets()]
    lists = [f"ls {path.parent} | grep {path.name}" for path in apart.secrets()]
    writes = [f"echo x >> {path}" for path in apart.secrets()]
    makes = [f"touch {path.parent}/made" for path in apart.secrets()]
    removes = [f"rm {path}" for path in apart.secrets()]
    links = [f"ln {path} linked && grep {SECRET} linked" for path in apart.secrets()]
    assert apart.succeeded([*reads, *lists, *writes, *makes, *removes, *links, "true"]) == ["true"]
    for path in apart.secrets():
        assert path.read_text() == SECRET
        assert not (path.parent / "made").exists()


@_BOTH_MEANS
@_BOTH_MODES
def test_an_agent_works_in_what_is_its_own(apart: Apart) -> None:
    clone, home = apart.workspace, apart.state / "agent/homes/pounce"
    python = f"{sys.executable} -c 'import multiprocessing, tempfile; multiprocessing.Lock(); tempfile.TemporaryFile()'"
    commands = [
        "echo a > a.txt && git add a.txt && git commit -qm A",
        "mkdir d && mv a.txt d/ && git commit -qam B && git gc -q",
        f"echo x > {clone}/x && rm {clone}/x",
        f"git -C {clone} branch mine",
        "echo x > ~/x && grep x ~/x",
        f"test $HOME = {home}",
        "echo x > $TMPDIR/herald-x && rm $TMPDIR/herald-x",
        "echo x > /dev/null && head -c 1 /dev/urandom && test -r /dev/zero",
        "cat /proc/self/status && ls /proc/self/fd && cat /etc/passwd && ls /usr/bin",
        python,
        "echo x > /dev/stderr",
    ]
    assert apart.succeeded(commands) == commands


@_BOTH_MEANS
@_BOTH_MODES
def test_an_agent_of_an_own_workspace_does_not_reach_the_projects_folder_nor_change_the_store(apart: Apart) -> None:
    before = apart.clone_state()
    pack = f"{apart.store}/objects/pack"
    tries = [f"cat {apart.clone}/README.md", f"touch {apart.clone}/made", f"rm {apart.clone}/README.md"]
    tries += [
        f"touch {pack}/made",
        f"rm -f {pack}/*",
        f"echo x >> {apart.store}/config",
        f"chmod 777 {apart.store}/made",
    ]
    assert apart.succeeded([*tries, f"ls {pack}/*.pack"]) == [f"ls {pack}/*.pack"]
    assert apart.clone_state() == before
    git(apart.store, "fsck", "--full")


@_BOTH_MEANS
def test_the_run_is_whole_and_says_what_is_not_held(apart: Apart, means: str) -> None:
    files = apart.run("create a.txt: a")
    assert files.end["outcome"] == "ok"
    assert files.end["commits"] == 1
    if means == "landlock":
        assert files.end["not_held"] == []
    elif os.access("/etc", os.W_OK):  # which the unit's own sandbox forbids
        assert files.end["not_held"] == ["An agent can write to /etc, /usr/local."]


def test_an_agent_writes_nowhere_else(apart: Apart) -> None:
    places = ["/", "/etc", "/usr/local", "/var", "/var/tmp", "/opt", "/srv", "/sys", "/proc/sys/kernel", apart.folder]
    assert apart.succeeded([f"touch {place}/herald-made" for place in places]) == []
    assert apart.succeeded(["chmod 700 /etc/hostname; echo x >> /etc/hostname"]) == []


@_BOTH_MEANS
def test_an_agent_does_not_look_into_its_driver(apart: Apart) -> None:
    trace = "import ctypes,sys; sys.exit(ctypes.CDLL(None).ptrace(16, int(sys.argv[1]), 0, 0) != 0)"
    looks = [f"cat /proc/$DRIVER/{name}" for name in ("environ", "maps", "mem", "fd/0", "fd/3", "root/etc/passwd")]
    looks += ["readlink /proc/$DRIVER/fd/0", "readlink /proc/$DRIVER/cwd", f'{sys.executable} -c "{trace}" $DRIVER']
    there = "tr '\\0' ' ' < /proc/$DRIVER/cmdline | grep -e -m"
    assert apart.succeeded([there, *looks]) == [there]


@pytest.mark.skipif(landlock.version() < 6, reason="this kernel's Landlock does not know signals (Linux 6.12 does)")
def test_an_agent_does_not_signal_its_driver_nor_reach_abstract_sockets(apart: Apart) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0herald-test-{os.getpid()}")
        listening.listen()
        connect = f"import socket; socket.socket(socket.AF_UNIX).connect('\\0herald-test-{os.getpid()}')"
        assert apart.succeeded(["kill -0 1", f"kill -0 {os.getpid()}", f'{sys.executable} -c "{connect}"']) == []


@_BOTH_MEANS
def test_a_filter_that_an_agent_left_in_the_clone_is_confined_too(apart: Apart) -> None:
    apart.configure(workspace="path")
    stolen = apart.clone / "stolen"
    steal = f"cat {apart.neighbour}/secret.txt {apart.state}/agent/homes/purr/.claude/x > {stolen}; cat"
    apart.run(
        f"shell git config filter.evil.clean '{steal}'; echo '*.txt filter=evil' > .gitattributes; echo a > a.txt"
    )
    assert stolen.exists()  # it ran, when Herald committed
    assert apart.call("Prepare", have=[])["parameters"]["branches"]
    assert stolen.read_text() == ""


@_BOTH_MEANS
def test_privileges_are_not_gained(apart: Apart) -> None:
    files = apart.run("shell grep -E 'NoNewPrivs|CapEff' /proc/self/status")
    assert "NoNewPrivs:\t1" in files.text
    assert "CapEff:\t0000000000000000" in files.text


def test_what_is_hidden_by_a_namespace_stays_hidden_in_a_further_one(apart: Apart) -> None:
    apart.without_landlock()
    uncover = f"unshare -Urm sh -c 'umount {apart.neighbour}; umount {apart.state}; cat {apart.neighbour}/secret.txt'"
    assert apart.succeeded([uncover]) == []


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_where_landlock_is_refused_a_namespace_hides_the_same(apart: Apart, number: int) -> None:
    apart.without_landlock(REFUSED_WITH=str(number))
    assert apart.succeeded([f"cat {apart.neighbour}/secret.txt", "true"]) == ["true"]


def test_where_nothing_can_hold_a_run_it_goes_on_and_says_so(apart: Apart) -> None:
    apart.without_landlock(WITHOUT_NAMESPACES="1")
    instance, files = apart.start("create a.txt: a")
    wait_for(lambda: files.read("result"), "the result")
    assert files.end["outcome"] == "ok"
    said = files.end["not_held"]
    assert said[0].startswith("Neither Landlock")
    by_act = {each.split()[3]: each for each in said[1:]}
    assert f" {apart.neighbour}," in by_act["read"]
    assert f" {apart.neighbour}," in by_act["write"]
    assert f" {apart.state}/worker," in by_act["read"]
    if os.geteuid() != 0:  # root's agents have given up what root could look with
        assert "look" in by_act
    instance.wait()
    words = instance.stderr.read_text()
    assert all(sentence in words for sentence in said)
    assert "project=pounce run=task-1" in words
    assert not list(apart.folder.rglob(".herald-check*"))


@_BOTH_MEANS
def test_sockets_that_can_be_reached_are_named(apart: Apart, means: str) -> None:
    path = apart.bus / "io.herald.Worker"
    apart.listen(path)
    said = apart.run("say hi").end["not_held"]
    assert (f"An agent can connect to {path}." in said) == (means == "landlock")


def test_a_project_that_is_not_there_when_a_run_starts_is_hidden_when_it_comes(apart: Apart) -> None:
    shutil.rmtree(apart.neighbour)
    instance, files = apart.start(f"shell sleep 1; cat {apart.neighbour}/late; echo rc $?")
    instance.receive()
    wait_for(lambda: files.progress, "the agent")
    apart.neighbour.mkdir()
    (apart.neighbour / "late").write_text(SECRET)
    assert instance.receive() == {"parameters": {"state": "ended"}}
    assert "rc 1" in files.text
    assert instance.wait() == 0


def test_a_program_that_the_driver_needs_may_lie_in_the_project_itself(apart: Apart) -> None:
    apart.run("say hi")
    program = apart.workspace / "tools/claude"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    apart.environment["HERALD_CLAUDE"] = str(program)
    commands = [f"touch {apart.workspace}/made", f"touch {program.parent}/made"]
    assert apart.succeeded(commands) == commands


def test_links_lead_nowhere_that_is_hidden(apart: Apart) -> None:
    (apart.clone / "link").symlink_to(apart.neighbour)
    shutil.rmtree(apart.state / "agent/workspaces/purr")
    (apart.folder / "alias").symlink_to(apart.neighbour)
    places = [apart.clone / "link", apart.folder / "alias"]
    assert apart.succeeded([f"cat {place}/secret.txt" for place in places]) == []


def test_in_try_mode_nothing_is_held_and_nothing_said(apart: Apart) -> None:
    apart.environment["HERALD_MODE"] = "try"
    assert apart.succeeded([f"cat {apart.neighbour}/secret.txt"])
    assert apart.run("say hi").end["not_held"] == []


@_BOTH_MEANS
@_BOTH_MODES
def test_the_real_cli_works_confined(apart: Apart, cli: str, api: anthropic.Api) -> None:
    apart.environment |= api.environment() | {"HERALD_AGENT": "claude", "HERALD_CLAUDE": cli}
    files = apart.run("[[commit hello.txt hi]]")
    assert files.end["outcome"] == "ok", files.end
    assert files.end["commits"] == 1
    assert git(apart.tree, "show", "agent/pounce-1:hello.txt") == "hi"
    files = apart.run(f"[[bash cat {apart.neighbour}/secret.txt {apart.config}/herald.yaml]]")
    assert files.end["outcome"] == "ok", files.end
    assert SECRET not in files.text
