"""The shipped unit files: understood by the inetd to the last key, accepted by systemd, true to their rules."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from herald import names
from herald_try import units
from herald_try.syntax import SyntaxProblem, boolean, read, span

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "units"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in {".service", ".socket", ".target"})
SLICES = sorted(FOLDER.glob("*.slice"))
SOCKETS = [path for path in FILES if path.suffix == ".socket"]
TEMPLATES = [path for path in FILES if path.name.endswith("@.service")]
LONG_RUNNING = [path for path in FILES if path.suffix == ".service" and path not in TEMPLATES]


def value(path: Path, section: str, key: str) -> str:
    return " ".join(read(path).get(section, {}).get(key, ()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_key_of_a_shipped_file_is_known(path: Path) -> None:
    assert units.problems_of(path.name, read(path)) == []


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.service"
    file.write_text("[Service]\nType=notify\nRestartSecs=1\n[Unti]\nWants=x\n", encoding="utf-8")
    assert units.problems_of("a.service", read(file)) == [
        "a.service: unknown key RestartSecs= in [Service]",
        "a.service: unknown key Wants= in [Unti]",
    ]


def test_a_value_that_the_inetd_does_not_hold_to_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.service"
    file.write_text("[Service]\nType=simple\nKillMode=process\n", encoding="utf-8")
    assert units.problems_of("a.service", read(file)) == [
        "a.service: Type=simple is not supported, only notify",
        "a.service: KillMode=process is not supported, only mixed",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ExecStart=\n", "ExecStart= is missing"),
        ("ExecStart=-/bin/true\n", "absolute path"),
        ("ExecStart=/bin/true\nRestart=on-failure\n", "only no and always are supported"),
        ("ExecStart=/bin/true\nTimeoutStopSec=soon\n", "no time span"),
        ("ExecStart=/bin/true\nnonsense\n", "line 3: neither a section nor KEY=VALUE"),
    ],
)
def test_a_unit_that_cannot_be_used_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "herald.target").write_text("[Unit]\nWants=a.service\n", encoding="utf-8")
    (tmp_path / "a.service").write_text(f"[Service]\n{text}", encoding="utf-8")
    with pytest.raises(SyntaxProblem, match=problem):
        units.load(tmp_path)


def test_keys_that_restrict_rights_are_told_once(tmp_path: Path) -> None:
    (tmp_path / "herald.target").write_text("[Unit]\nWants=a.service\nWants=b.service\n", encoding="utf-8")
    for name in ("a", "b"):
        text = "[Service]\nExecStart=/bin/true\nUser=nobody\nProtectSystem=strict\n"
        (tmp_path / f"{name}.service").write_text(text, encoding="utf-8")
    loaded = units.load(tmp_path)
    assert loaded.not_in_force == ("ProtectSystem", "User")
    assert loaded.problems == ()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15", 15), ("1s", 1), ("100ms", 0.1), ("1h 30min", 5400), ("5min 20s", 320), ("infinity", float("inf"))],
)
def test_time_spans(text: str, seconds: float) -> None:
    assert span(text) == pytest.approx(seconds)


def test_truth_values() -> None:
    assert boolean("yes")
    assert not boolean("off")
    with pytest.raises(SyntaxProblem):
        boolean("maybe")


def test_the_target_wants_every_socket_and_every_long_running_service() -> None:
    wanted = value(FOLDER / "herald.target", "Unit", "Wants").split()
    assert sorted(wanted) == sorted(path.name for path in SOCKETS + LONG_RUNNING)
    assert sorted(units.load(FOLDER).services) == sorted(
        f"herald-{each}" for each in (*names.LONG_RUNNING, *names.ON_CONNECT)
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_names_are_the_same_everywhere(path: Path) -> None:
    if path.suffix == ".target":
        return
    service = path.stem.removeprefix("herald-").removesuffix("@")
    if path.suffix == ".socket":
        assert value(path, "Socket", "ListenStream") == f"/run/herald/{names.interface_of(service)}"
        return
    assert value(path, "Service", "ExecStart") == f"/opt/herald/venv/bin/herald-{service}"
    assert value(path, "Service", "StateDirectory") == f"herald/{service}"
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert f"herald-{service}" in scripts


@pytest.mark.parametrize("path", SOCKETS, ids=lambda path: path.name)
def test_no_socket_ends_for_good(path: Path) -> None:
    assert value(path, "Socket", "TriggerLimitIntervalSec") == "0"
    assert value(path, "Unit", "StartLimitIntervalSec") == "0"
    assert value(path, "Socket", "RemoveOnStop") == "yes"
    assert value(path, "Unit", "PartOf") == "herald.target"
    assert bool(value(path, "Socket", "MaxConnections")) == (path.with_name(f"{path.stem}@.service") in TEMPLATES)


@pytest.mark.parametrize("path", TEMPLATES + LONG_RUNNING, ids=lambda path: path.name)
def test_no_service_ends_for_good(path: Path) -> None:
    assert value(path, "Unit", "StartLimitIntervalSec") == "0"
    assert value(path, "Service", "Type") == "notify"
    assert value(path, "Service", "KillMode") == "mixed"
    assert value(path, "Service", "LimitCORE") == "0"
    assert not value(path, "Service", "RuntimeDirectory")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_an_act_is_never_started_again(path: Path) -> None:
    assert not value(path, "Unit", "PartOf")
    assert value(path, "Unit", "StopPropagatedFrom") == "herald.target"
    assert value(path, "Unit", "CollectMode") == "inactive-or-failed"
    assert not value(path, "Service", "Restart")
    assert value(path, "Service", "StandardInput") == "socket"
    assert value(path, "Service", "StandardOutput") == "journal"
    assert int(value(path, "Service", "FileDescriptorStoreMax")) > 0


@pytest.mark.parametrize("path", LONG_RUNNING, ids=lambda path: path.name)
def test_a_service_is_kept_running_and_watched(path: Path) -> None:
    assert value(path, "Unit", "PartOf") == "herald.target"
    assert value(path, "Unit", "Requires") == value(path, "Unit", "After") == f"{path.stem}.socket"
    assert value(path, "Service", "Restart") == "always"
    assert value(path, "Service", "RestartSec") == "500ms"
    assert value(path, "Service", "TimeoutAbortSec") == "5"
    assert span(value(path, "Service", "WatchdogSec")) <= 60


@pytest.mark.parametrize("path", TEMPLATES + LONG_RUNNING, ids=lambda path: path.name)
def test_each_service_has_a_user_of_its_own_and_a_private_state(path: Path) -> None:
    service = path.stem.removeprefix("herald-").removesuffix("@")
    assert value(path, "Service", "User") == f"herald-{service}"
    assert value(path, "Service", "StateDirectoryMode") in {"0700", "0710", "0750"}
    assert value(path, "Service", "Slice") == ("herald-agent.slice" if service == "agent" else "herald.slice")


@pytest.mark.parametrize("path", TEMPLATES + LONG_RUNNING, ids=lambda path: path.name)
def test_a_missing_credential_keeps_no_unit_from_starting(path: Path) -> None:
    def names_of(key: str) -> set[str]:
        return {each.partition(":")[0] for each in read(path).get("Service", {}).get(key, ())}

    assert names_of("LoadCredential") == names_of("SetCredential")


@pytest.mark.parametrize("path", TEMPLATES + LONG_RUNNING, ids=lambda path: path.name)
def test_a_crash_is_told(path: Path) -> None:
    assert value(path, "Service", "ExecStopPost").startswith('-+/bin/sh -c \'[ "$SERVICE_RESULT" = success ] || exec ')


@pytest.mark.parametrize("path", SOCKETS, ids=lambda path: path.name)
def test_a_socket_lets_in_people_or_the_worker_alone(path: Path) -> None:
    who = (
        value(path, "Socket", "SocketUser"),
        value(path, "Socket", "SocketGroup"),
        value(path, "Socket", "SocketMode"),
    )
    assert who in {("", "herald", "0660"), ("herald-worker", "", "0600")}


def test_every_unit_has_its_place_in_the_table() -> None:
    table = (FOLDER / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"`(herald[^`/ ]*\.(?:service|socket|target|slice))`", table.partition("Rules")[0])
    assert sorted(found) == sorted(path.name for path in FILES + SLICES)


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing: apt-get install systemd"
)
def test_systemd_accepts_the_files(tmp_path: Path) -> None:
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    for path in FILES + SLICES:
        text = path.read_text(encoding="utf-8").replace("/opt/herald/venv/bin", str(programs))
        (tmp_path / path.name).write_text(text, encoding="utf-8")
        for program in re.findall(rf"{programs}/(\S+)", text):
            (programs / program).write_text("#!/bin/sh\n", encoding="utf-8")
            (programs / program).chmod(0o755)
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / path.name) for path in FILES + SLICES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
