"""install.sh --user from the first installation to the last removal, with stand-ins for what it calls."""

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.processes import arguments, wait_for
from tests.try_.installing import NOBODY, Clone

pytestmark = pytest.mark.skipif(Path("/var/lib/systemd/linger/nobody").exists(), reason="nobody lingers here")


@pytest.fixture
def clone() -> Iterator[Clone]:
    with tempfile.TemporaryDirectory() as folder:  # another user must be able to enter it
        Path(folder).chmod(0o755)
        yield Clone(Path(folder), user=NOBODY if os.getuid() == 0 else None)


def installed(clone: Clone, *options: str, **environment: str) -> str:
    code, out, err = clone.run("--user", *options, **environment)
    assert (code, err) == (0, "")
    return out


def unit(clone: Clone, name: str) -> Path:
    return clone.home / ".local/share/systemd/user" / name


def version(clone: Clone) -> Path:
    return (clone.home / ".local/share/herald/venv").resolve()


def test_each_step_is_said_with_its_duration_and_the_end_says_what_is_next(clone: Clone) -> None:
    out = installed(clone)
    steps = re.findall(r"^\[(\d)/8\] .+ \.\.\. \d+\.\d s$", out, re.MULTILINE)
    assert steps == [str(number) for number in range(1, 9)]
    for words in ("systemctl --user enable --now herald.target", "heraldctl agent-login", "git_ssh_key", "git clone"):
        assert words in out
    assert "missing: no key" in out
    assert "not held here: writes everywhere" in out


def test_everything_has_its_place_and_mode(clone: Clone) -> None:
    installed(clone)
    home = clone.home
    for name in (".local/state/herald", ".local/state/herald/agent", ".config/herald", ".config/herald/credentials"):
        assert (home / name).stat().st_mode & 0o777 == 0o700, name
    assert (home / ".config/herald/herald.yaml").stat().st_mode & 0o777 == 0o600
    assert f"\nprojects_root: {home}/herald " in (home / ".config/herald/herald.yaml").read_text(encoding="utf-8")
    assert (home / "herald").is_dir()
    for name in ("herald.yaml", "projects/example.yaml"):
        path = home / ".config/herald" / name
        schema = path.read_text(encoding="utf-8").splitlines()[0].partition("$schema=")[2]
        assert (path.parent / schema).is_file()
    wrapper = (home / ".local/bin/heraldctl").read_text(encoding="utf-8")
    for name in ("HERALD_MODE=user", "HERALD_STATE=", "HERALD_CONFIG=", "HERALD_BUS="):
        assert name in wrapper


def test_units_have_their_places_filled_in(clone: Clone) -> None:
    installed(clone)
    files = sorted(unit(clone, "").iterdir())
    assert unit(clone, "herald.target") in files
    for path in files:
        assert not re.search(r"@\w+@", path.read_text(encoding="utf-8")), path
    text = unit(clone, "herald-agent@.service").read_text(encoding="utf-8")
    assert f"ExecStart={clone.home}/.local/share/herald/venv/bin/herald-agent\n" in text
    assert "PrivateUsers=yes" in text


def test_a_second_installation_changes_nothing_and_says_so(clone: Clone) -> None:
    installed(clone)
    before, asked = clone.tree(), clone.asked()
    out = installed(clone)
    assert "Nothing had to be changed." in out
    assert clone.tree() == before
    assert clone.asked() == asked


@pytest.mark.parametrize("options", [(), ("--uninstall",), ("--uninstall", "--purge")])
@pytest.mark.parametrize("place", [(), ("--user",)])
@pytest.mark.parametrize("there", [False, True])
def test_a_dry_run_says_steps_and_commands_and_changes_nothing(
    clone: Clone, place: tuple[str, ...], options: tuple[str, ...], there: bool
) -> None:
    if there:
        installed(clone)
    before, asked = clone.tree(), clone.notes.read_text(encoding="utf-8").splitlines()
    code, out, err = clone.run("--dry-run", *place, *options)
    assert (code, err) == (0, "")
    count = re.findall(r"^\[\d/(\d)\] ", out, re.MULTILINE)
    assert len(count) == int(count[0])
    assert "\n      + " in out or (place, there) == (("--user",), False)
    assert out.endswith("Nothing was changed.\n")
    assert clone.tree() == before
    new = clone.notes.read_text(encoding="utf-8").splitlines()[len(asked) :]
    assert [line for line in new if not line.startswith("-c ")] == []


def test_what_an_operator_wrote_is_kept_and_documentation_is_refreshed(clone: Clone) -> None:
    installed(clone)
    mine = clone.home / ".config/herald/herald.yaml"
    mine.write_text("max_active: 2\n", encoding="utf-8")
    project = clone.home / ".config/herald/projects/mine.yaml"
    project.write_text("path: /x\n", encoding="utf-8")
    clone.add("packaging/etc/projects/example.yaml", "# new\n")
    installed(clone)
    assert mine.read_text(encoding="utf-8") == "max_active: 2\n"
    assert project.read_text(encoding="utf-8") == "path: /x\n"
    assert "# new" in project.with_name("example.yaml").read_text(encoding="utf-8")


def test_an_upgrade_restarts_the_services_one_by_one_and_never_the_target(clone: Clone) -> None:
    installed(clone)
    old = version(clone)
    both = [subprocess.Popen([f"{old}/bin/python", "60"], executable="/bin/sleep") for _ in range(2)]
    try:
        clone.runs("herald.target")
        clone.runs("herald-worker.service", both[0].pid)
        clone.runs("herald-gateway.service", both[1].pid)
        clone.add("services/two.py")
        out = installed(clone)
        assert version(clone) != old
        assert clone.asked("systemctl --user restart") == [
            "systemctl --user restart herald-worker.service",
            "systemctl --user restart herald-gateway.service",
        ]
        assert "herald-worker.service restarted" in out
    finally:
        for each in both:
            each.kill()
            each.wait()


def test_a_socket_is_restarted_only_when_its_file_changed(clone: Clone) -> None:
    installed(clone)
    for name in ("herald.target", "herald-worker.socket", "herald-gateway.socket"):
        clone.runs(name)
    clone.add("units/user/herald-gateway.socket")
    clone.add("units/user/herald-agent@.service")
    out = installed(clone)
    assert clone.asked("systemctl --user restart") == ["systemctl --user restart herald-gateway.socket"]
    assert "herald-gateway.socket restarted" in out
    assert "systemctl --user daemon-reload" in clone.asked("systemctl")
    assert "nothing had to be restarted" in installed(clone)


def test_a_restart_that_was_missed_is_made_up_for(clone: Clone) -> None:
    installed(clone)
    clone.runs("herald.target")
    clone.add("units/user/herald-worker.service")
    clone.add("services/two.py")
    # The units are written before the services are restarted: what comes in between is an interruption.
    (clone.programs / "systemctl").rename(clone.programs / "kept")
    (clone.programs / "systemctl").write_text(
        f'#!/bin/sh\ncase "$*" in *restart*) exit 1 ;; esac\nexec "{clone.programs}/kept" "$@"\n', encoding="utf-8"
    )
    (clone.programs / "systemctl").chmod(0o755)
    code, _, err = clone.run("--user")
    assert code == 1
    assert "journalctl --user -u herald-worker.service" in err
    (clone.programs / "kept").replace(clone.programs / "systemctl")
    installed(clone)
    assert clone.asked("systemctl --user restart") == ["systemctl --user restart herald-worker.service"]


def test_old_versions_go_when_nothing_runs_them_except_the_one_before(clone: Clone) -> None:
    installed(clone)
    used = version(clone)
    process = subprocess.Popen([f"{used}/bin/python", "60"], executable="/bin/sleep")
    try:
        seen = [used]
        for number in range(3):
            clone.add("shared/one.py", f"# {number}\n")
            installed(clone)
            seen.append(version(clone))
        assert [path.exists() for path in seen] == [True, False, True, True]
    finally:
        process.kill()
        process.wait()
    installed(clone)
    assert [path.exists() for path in seen] == [False, False, True, True]


def test_a_half_made_version_is_made_anew(clone: Clone) -> None:
    code, _, err = clone.run("--user", PIP_PROBLEM="yes")
    assert code == 1
    assert "no such release" in err
    assert "stopped in step 3, program; the same command goes on from there" in err
    assert not (clone.home / ".local/share/herald/venv").exists()
    installed(clone)
    assert sum(line.startswith("-m venv") for line in clone.asked()) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_says_where_it_stopped_and_the_next_one_goes_on(clone: Clone, number: int) -> None:
    lasts = f"30.{number}"
    process = clone.start("--user", PIP_TIME=lasts)
    # Not before: the stand-in is a shell, which loses a signal that comes while it forks.
    wait_for(lambda: ["sleep", lasts] in map(arguments, psutil.pids()), "the installation of the program")
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 128 + number
    assert "stopped in step 3, program" in err
    installed(clone)


@pytest.mark.parametrize("systemd", ["252", "257"])
def test_drop_ins_are_there_where_the_machine_needs_them_and_only_there(clone: Clone, systemd: str) -> None:
    installed(clone, SYSTEMD=systemd, LANDLOCK="no")
    backoff = [unit(clone, f"herald-{name}.service.d/10-backoff.conf").exists() for name in ("gateway", "worker")]
    assert backoff == [systemd == "257"] * 2
    assert unit(clone, "herald-agent@.service.d/10-without-landlock.conf").exists()
    installed(clone)
    assert list(unit(clone, "").glob("*.d")) == []


def test_without_namespaces_the_agent_does_without_what_needs_them_and_that_is_said(clone: Clone) -> None:
    out = installed(clone, NAMESPACE_PROBLEM="1")
    assert "gives users no namespaces" in out
    text = unit(clone, "herald-agent@.service").read_text(encoding="utf-8")
    for key in ("PrivateUsers=", "ProtectSystem=", "ReadWritePaths=", "InaccessiblePaths="):
        assert f"\n{key}" not in text
    assert "\nNoNewPrivileges=yes\n" in text


def test_a_refused_linger_is_said_with_what_it_means(clone: Clone) -> None:
    out = installed(clone, LINGER_PROBLEM="1")
    assert "Herald ends with your last login" in out
    assert "loginctl enable-linger" in out


def test_the_self_check_leaves_the_socket_as_it_was(clone: Clone) -> None:
    installed(clone)
    assert clone.asked("systemctl --user start") == ["systemctl --user start herald-agent.socket"]
    assert not clone.is_active("herald-agent.socket")
    clone.runs("herald-agent.socket")
    installed(clone)
    assert clone.is_active("herald-agent.socket")


def test_a_self_check_without_an_answer_is_no_failure(clone: Clone) -> None:
    assert "journalctl --user -u 'herald-agent@*'" in installed(clone, CHECK="")


@pytest.mark.parametrize(
    ("environment", "advice"),
    [
        ({"MANAGER_PROBLEM": "1"}, "loginctl enable-linger"),
        ({"SYSTEMD": "247"}, "systemd 252 or later"),
        ({"XDG_STATE_HOME": "/tmp/a b"}, "XDG_STATE_HOME"),
        ({"VERSION_PROBLEM": "1"}, "is no Python 3.11, 3.12 or 3.13"),
        ({"VENV_PROBLEM": "1"}, "apt-get install python3-venv"),
    ],
)
def test_a_missing_condition_is_said_with_what_helps_before_anything_is_changed(
    clone: Clone, environment: dict[str, str], advice: str
) -> None:
    before = clone.tree()
    code, _, err = clone.run("--user", **environment)
    assert code == 3
    assert advice in err
    assert clone.tree() == before


def test_a_removal_keeps_state_and_configuration_until_purged_and_never_takes_repositories(clone: Clone) -> None:
    installed(clone)
    clone.runs("herald.target")
    state, config = clone.home / ".local/state/herald", clone.home / ".config/herald"
    (state / "worker/worker.sqlite").write_text("rows", encoding="utf-8")
    (clone.home / "herald/mine").mkdir()
    out = installed(clone, "--uninstall")
    assert f"kept: {state} {config}" in out
    assert not clone.is_active("herald.target")
    assert list(unit(clone, "").iterdir()) == []
    assert not (clone.home / ".local/share/herald").exists()
    assert not (clone.home / ".local/bin/heraldctl").exists()
    installed(clone)
    assert (state / "worker/worker.sqlite").read_text(encoding="utf-8") == "rows"
    for _ in range(2):
        out = installed(clone, "--uninstall", "--purge")
        assert not state.exists()
        assert not config.exists()
        assert f"kept: {clone.home}/herald, with your repositories" in out
    assert (clone.home / "herald/mine").is_dir()


def test_a_clone_that_cannot_be_written_is_enough(clone: Clone) -> None:
    if clone.user is None:
        pytest.skip("only root can take the clone away from its user")
    before = {path: path.stat().st_mtime_ns for path in clone.folder.rglob("*")}
    installed(clone)
    assert {path: path.stat().st_mtime_ns for path in clone.folder.rglob("*")} == before
