"""One start of containers: what the compose command gets, what comes back, and that it happens at most once."""

import signal
from typing import Any

import pytest

from herald.errors import Busy, Conflict, Invalid, NotFound
from tests.deploy.unit import COMMIT, COMPOSE, Instance, Place
from tests.support.processes import lives, send, wait_for

_FILES = {"compose.yaml": COMPOSE, "src/app.py": "print()\n", "link": "-> src/app.py"}


def test_the_command_gets_the_tree_and_nothing_of_the_caller(place: Place) -> None:
    place.docker.order(say="built\n")
    result = place.deploy(_FILES)

    (call,) = place.docker.calls()
    tree = str(place.own / "trees" / COMMIT)
    file = f"{tree}/compose.yaml"
    assert call["argv"] == ["compose", "--project-name", "sample", "--file", file, "up", "--build", "-d"]
    assert call["cwd"] == tree
    assert call["files"] == _FILES
    assert call["stdin"] == ""
    variables = call["environment"]
    assert variables["DOCKER_HOST"] == f"unix://{place.socket}"
    assert variables["DOCKER_CONFIG"] == str(place.state / "deploy" / "docker")
    assert (variables["HERALD_TREE"], variables["HERALD_COMMIT"]) == (tree, COMMIT)
    assert set(variables) - {"LC_CTYPE"} == {
        "PATH", "HOME", "LANG", "DOCKER_HOST", "DOCKER_CONFIG", "HERALD_TREE", "HERALD_COMMIT", "COMPOSE_ANSI",
        "COMPOSE_PROGRESS", "BUILDKIT_PROGRESS", "BUILDKIT_NO_CLIENT_TOKEN",
    }  # fmt: skip
    assert (result["outcome"], result["message"]) == ("ok", "")


def test_modes_of_files_are_those_of_a_checkout(place: Place) -> None:
    place.deploy({"compose.yaml": COMPOSE, "sub/file": "x"})

    tree = place.own / "trees" / COMMIT
    modes = [path.stat().st_mode & 0o777 for path in (place.own, tree, tree / "sub", tree / "sub" / "file")]
    assert modes == [0o700, 0o755, 0o755, 0o644]


def test_a_quoted_command_is_split_and_no_shell_sees_it(place: Place) -> None:
    place.configure(command=f"{place.docker.command} --profile 'a b' '$HOME' ';' touch")
    place.deploy(_FILES)

    assert place.docker.call()["argv"][:6] == ["compose", "--profile", "a b", "$HOME", ";", "touch"]


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"exit": 17}, "up --build -d` ended with exit code 17"),
        ({"exit": 1, "say": "unknown flag: --project-name"}, "docker-compose-plugin brings it"),
        ({"exit": 1}, "There is no container socket "),
    ],
)
def test_a_command_that_fails_is_reported_with_the_next_step(place: Place, order: dict[str, Any], reason: str) -> None:
    place.docker.order(**order)
    result = place.deploy(_FILES)

    assert result["outcome"] == "failed"
    assert reason in result["message"]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("/nonexistent/docker compose", "/nonexistent/docker is not installed"),
        ("/etc/passwd compose", "/etc/passwd cannot be run: Permission denied"),
        ("docker 'compose", "`deploy.command` in herald.yaml"),
        (" ", "`deploy.command` in herald.yaml is empty"),
    ],
)
def test_a_command_that_is_none_is_reported(place: Place, command: str, reason: str) -> None:
    place.configure(command=command)
    result = place.deploy(_FILES)

    assert result["outcome"] == "failed"
    assert reason in result["message"]


def test_the_end_of_a_flood_is_kept_and_no_more(place: Place) -> None:
    place.docker.order(flood=20, exit=3)
    with place.start(_FILES) as instance:
        assert instance.result()["outcome"] == "failed"
        assert 256 << 10 <= len(instance.read("log")) <= 513 << 10


def test_a_command_that_hangs_is_ended_at_the_deadline(place: Place) -> None:
    place.time_limit = 1.0
    place.configure()
    place.docker.order(wait=True, say="half built\n")
    with place.start(_FILES) as instance:
        result = instance.result()

        assert result["outcome"] == "failed"
        assert result["message"].startswith("it had no end within 1 s (`deploy.time_limit`")
        assert instance.read("log") == "half built\n"
    assert place.docker.is_gone()


def test_a_command_that_ignores_it_is_killed(place: Place) -> None:
    place.docker.order(wait=True, deaf=True)
    with place.start(_FILES) as instance:
        place.docker.call()
        send(instance.process.pid, signal.SIGTERM)
        result = instance.result()

    assert (result["outcome"], result["message"]) == ("stopped", "Herald was stopped in the middle of it")
    assert 5.0 <= result["seconds"] < 14.0
    assert place.docker.is_gone()


def test_it_goes_on_when_its_caller_is_gone(place: Place) -> None:
    place.docker.order(wait=True)
    with place.start(_FILES) as instance:
        assert instance.answer() == "started"
        place.docker.call()
        instance.leave()
        place.docker.go()
        assert instance.result()["outcome"] == "ok"


def test_of_one_project_one_goes_on_at_a_time(place: Place) -> None:
    place.docker.order(wait=True)
    with place.start(_FILES) as first:
        assert first.answer() == "started"
        with place.start(_FILES) as second:
            with pytest.raises(Busy, match="a deployment of sample goes on"):
                second.answer()
            assert second.read("lock") == second.read("result") == ""
        place.docker.go()
        assert first.result()["outcome"] == "ok"
    assert len(place.docker.calls()) == 1


def test_a_cell_that_says_anything_is_not_started(place: Place) -> None:
    for words in ("void\n", "started 1 2\n"):
        place.docker.order()
        with Instance(place, b"", COMMIT, cell=words) as instance, pytest.raises(Conflict, match=words.strip()):
            instance.answer()
    assert place.docker.calls() == []


def test_killed_it_leaves_a_cell_and_no_result(place: Place) -> None:
    place.docker.order(wait=True, say="building\n")
    with place.start(_FILES) as instance:
        assert instance.answer() == "started"
        pid = place.docker.call()["pid"]
        wait_for(lambda: instance.read("log"), "the output is in the caller's file")
        assert instance.is_locked()
        instance.kill()
        with pytest.raises(EOFError):
            instance.answer()

        assert not instance.is_locked()
        wait_for(lambda: not lives(pid), "docker is killed")
        assert (instance.read("lock").split()[0], instance.read("result")) == ("started", "")
        assert instance.read("log") == "building\n"
    place.docker.go()
    assert place.deploy(_FILES)["outcome"] == "ok"


@pytest.mark.parametrize("head", ["", "main", "1" * 39, "../../" + "1" * 34, "G" * 40])
def test_what_is_no_commit_is_refused(place: Place, head: str) -> None:
    with place.start(_FILES, head) as instance, pytest.raises(Invalid, match="is not the hash of a commit"):
        instance.answer()


def test_an_unknown_project_is_refused(place: Place) -> None:
    with place.start(_FILES, project="other") as instance, pytest.raises(NotFound):
        instance.answer()


def test_a_disk_that_refuses_is_told(place: Place) -> None:
    place.own.mkdir(parents=True)
    (place.own / "trees").write_text("")
    result = place.deploy(_FILES)

    assert result["outcome"] == "failed"
    assert result["message"].startswith("File exists: ")
