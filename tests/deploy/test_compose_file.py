"""Which compose file counts: one of the commit, or one of the operator's that nobody else can write."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.unit import COMMIT, COMPOSE, Place
from tests.support import repositories

_NAMES = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"]


def used(place: Place) -> str:
    """The compose file of the last call."""
    argv: list[str] = place.docker.calls()[-1]["argv"]
    return argv[argv.index("--file") + 1]


def own_file(place: Place, text: str = COMPOSE) -> Path:
    """A compose file of the operator's, taken as such by the configuration."""
    file = place.folder / "deployments" / "compose.yaml"
    file.parent.mkdir()
    file.write_text(text)
    place.configure(compose_path=str(file))
    return file


@pytest.mark.parametrize("number", range(4))
def test_without_a_path_the_first_usual_name_counts(place: Place, number: int) -> None:
    place.deploy(dict.fromkeys(_NAMES[number:], COMPOSE))
    assert used(place) == str(place.own / "trees" / COMMIT / _NAMES[number])


def test_a_commit_without_any_has_nothing_to_deploy(place: Place) -> None:
    result = place.deploy({"README.md": "x", "deploy/compose.yaml": COMPOSE})
    assert result["outcome"] == "nothing"
    assert result["message"] == f"the commit has none of {', '.join(_NAMES)}"
    assert place.docker.calls() == []


def test_a_relative_path_is_that_of_the_commit(place: Place) -> None:
    place.configure(compose_path="deploy/web.yaml")
    place.deploy({"compose.yaml": COMPOSE, "deploy/web.yaml": COMPOSE})
    assert used(place) == str(place.own / "trees" / COMMIT / "deploy/web.yaml")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("web.yaml", "the commit has no file web.yaml (`deploy.compose_path` of sample)"),
        ("deploy", "deploy of the commit is not a file"),
        ("../../../../config/snapshot.json", "lies outside of the commit's tree"),
    ],
)
def test_a_path_that_leads_to_no_file_of_the_commit_fails(place: Place, path: str, reason: str) -> None:
    place.configure(compose_path=path)
    result = place.deploy({"compose.yaml": COMPOSE, "deploy/web.yaml": COMPOSE})
    assert result["outcome"] == "failed"
    assert reason in result["message"]
    assert place.docker.calls() == []


def test_the_operators_file_is_used_with_the_commit_in_a_variable(place: Place) -> None:
    file = own_file(
        place, "services:\n  web:\n    build: ${HERALD_TREE}/web  # not ../workspace\n    env_file: ./web.env\n"
    )
    assert place.deploy({"web/Dockerfile": "FROM scratch\n"})["outcome"] == "ok"
    assert used(place) == str(file)
    assert place.docker.call()["environment"]["HERALD_TREE"] == str(place.own / "trees" / COMMIT)


def test_an_operators_file_that_is_not_there_fails(place: Place) -> None:
    own_file(place).unlink()
    result = place.deploy({"compose.yaml": COMPOSE})
    assert result["outcome"] == "failed"
    assert "there is no file" in result["message"]
    assert place.docker.calls() == []


def _writable_file(file: Path) -> Path:
    file.chmod(0o666)
    return file


def _writable_folder(file: Path) -> Path:
    file.parent.chmod(0o777)
    return file.parent


def _group_writable(file: Path) -> Path:
    os.chown(file, -1, 12345)
    file.chmod(0o664)
    return file


def _of_somebody_else(file: Path) -> Path:
    os.chown(file, 12345, -1)
    return file


def _folder_of_somebody_else(file: Path) -> Path:
    os.chown(file.parent, 12345, -1)
    return file.parent


def _variables(file: Path) -> Path:
    beside = file.parent / ".env"
    beside.touch()
    beside.chmod(0o666)
    return beside


def _behind_a_link(file: Path) -> Path:
    there = file.parent.parent / "elsewhere"
    there.mkdir()
    there.chmod(0o777)
    file.rename(there / "real.yaml")
    file.symlink_to(there / "real.yaml")
    return there


@pytest.mark.parametrize(
    "opened",
    [
        _writable_file, _writable_folder, _group_writable, _of_somebody_else, _folder_of_somebody_else, _variables,
        _behind_a_link,
    ],
)  # fmt: skip
def test_an_operators_file_that_somebody_else_can_change_is_refused(
    place: Place, opened: Callable[[Path], Path]
) -> None:
    try:
        what = opened(own_file(place))
    except PermissionError:
        pytest.skip("only root can give files away")
    result = place.deploy({"compose.yaml": COMPOSE})

    assert result["outcome"] == "failed"
    assert f"somebody else can write {what}, and with it decide what is started: `sudo chown " in result["message"]
    assert place.docker.calls() == []


@pytest.mark.parametrize("where", ["workspace", "workspace/deep", "repos/any", "other", "state/agent/homes/sample"])
def test_a_file_where_agents_write_is_refused(place: Place, where: str) -> None:
    file = place.folder / where / "compose.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(COMPOSE)
    link = place.folder / "link.yaml"
    link.symlink_to(file)
    other = repositories.project("other")._replace(path=str(place.folder / "other"))
    for path in (file, link):
        place.configure(compose_path=str(path), others=(other,))
        result = place.deploy({"compose.yaml": COMPOSE})
        assert result["outcome"] == "failed"
        assert "where an agent can change it after the vote" in result["message"]
    assert place.docker.calls() == []


@pytest.mark.parametrize(
    "line",
    ["build: ../workspace", "build: {context: ../workspace/web}", "env_file: ['../workspace/.env']",
     "volumes: [../workspace:/app]", "context: WORKSPACE/web", 'build: "../deployments/../workspace"'],
)  # fmt: skip
def test_an_operators_file_that_takes_something_from_a_workspace_is_refused(place: Place, line: str) -> None:
    own_file(place, f"services:\n  web:\n    {line}\n".replace("WORKSPACE", str(place.folder / "workspace")))
    result = place.deploy({"compose.yaml": COMPOSE})

    assert result["outcome"] == "failed"
    assert "`${HERALD_TREE}` in its place is the folder of the commit" in result["message"]
    assert place.docker.calls() == []
