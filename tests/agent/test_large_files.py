"""Files of git-lfs in a workspace: what a run makes of them, and how they leave and enter."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.agent.place import Place, git
from tests.support.largefiles import pointer_of

pytestmark = pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")

ATTRIBUTES = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
DATA = os.urandom(200_000)
OID = hashlib.sha256(DATA).hexdigest()
POINTER = pointer_of(DATA)


def begin(place: Place, **files: str) -> None:
    """The project keeps its .bin files with git-lfs; `old.bin` is one, in folder `deep`."""
    (place.clone / "deep").mkdir()
    (place.clone / ".gitattributes").write_text(ATTRIBUTES)
    plain = ("-c", "filter.lfs.clean=cat", "-c", "filter.lfs.process=", "-c", "filter.lfs.required=false")
    (place.clone / "deep/old.bin").write_text(POINTER)
    for name, text in files.items():
        (place.clone / name).write_text(text)
    git(place.clone, *plain, "add", ".")
    git(place.clone, "commit", "--quiet", "-m", "Large files")
    git(place.clone, "push", "--quiet", "--no-verify", "origin", "main")
    place.base = git(place.clone, "rev-parse", "HEAD")


@pytest.fixture(params=["own", "path"])
def large(place: Place, request: pytest.FixtureRequest) -> Place:
    begin(place)
    place.configure(workspace=request.param)
    return place


def object_of(place: Place, oid: str = OID) -> Path:
    return place.tree / ".git/lfs/objects" / oid[:2] / oid[2:4] / oid


def put(place: Place, data: bytes, oid: str = "", size: int | None = None) -> dict[str, Any]:
    file = place.folder / "handed-over"
    file.write_bytes(data)
    return crossing(place, "PutLargeFile", file, oid or hashlib.sha256(data).hexdigest(), size or len(data))


def get(place: Place, oid: str = OID, size: int = len(DATA)) -> tuple[dict[str, Any], bytes]:
    file = place.folder / "taken-over"
    file.write_bytes(b"")
    return crossing(place, "GetLargeFile", file, oid, size), file.read_bytes()


def crossing(place: Place, method: str, file: Path, oid: str, size: int) -> dict[str, Any]:
    instance = place.instance()
    fd = os.open(file, os.O_RDWR)
    call = {"project": "pounce", "workspace": "pounce", "oid": oid, "size": size, "file": 0}
    instance.send(method, call, (fd,))
    os.close(fd)
    reply = instance.receive()
    assert instance.wait() == 0, instance.stderr.read_text()
    return reply


def shell(place: Place, command: str, **parameters: Any) -> Any:
    return place.run(f"shell {command}", **parameters)


def test_what_an_agent_commits_is_a_pointer_and_the_file_stays_in_the_workspace(large: Place) -> None:
    (large.folder / "data").write_bytes(DATA[::-1])
    oid = hashlib.sha256(DATA[::-1]).hexdigest()
    files = shell(large, f"cp {large.folder}/data new.bin && git add new.bin && git commit -qm 'Add it' && echo done")

    assert "done" in files.text
    assert files.end["commits"] == 1
    assert not files.end["message"]
    assert large.show(files.end["branch"], "new.bin") == pointer_of(DATA[::-1]).strip()
    assert object_of(large, oid).read_bytes() == DATA[::-1]
    reply, data = get(large, oid)
    assert reply == {"parameters": {"held": True, "reason": ""}}
    assert data == DATA[::-1]


def test_what_an_agent_leaves_uncommitted_is_committed_as_a_pointer(large: Place) -> None:
    (large.folder / "data").write_bytes(DATA[::-1])
    files = shell(large, f"cp {large.folder}/data deep/old.bin")

    assert files.end["commits"] == 1
    assert large.show(files.end["branch"], "deep/old.bin") == pointer_of(DATA[::-1]).strip()
    assert get(large, hashlib.sha256(DATA[::-1]).hexdigest())[1] == DATA[::-1]


def test_a_pointer_in_the_tree_is_nobodys_change(large: Place) -> None:
    files = shell(large, "cat deep/old.bin; touch deep/old.bin; git status --short")
    assert POINTER.splitlines()[1] in files.text
    assert " M " not in files.text
    assert files.end["commits"] == 0
    assert not files.end["uncommitted"]


def test_a_checkout_by_the_agent_asks_no_server(large: Place) -> None:
    git(large.clone, "config", "lfs.url", "http://127.0.0.1:9/")
    files = shell(large, "rm deep/old.bin; git checkout -- deep/old.bin && cat deep/old.bin")
    assert POINTER.splitlines()[1] in files.text
    assert files.end["commits"] == 0


def test_a_file_that_the_agent_deleted_is_deleted(large: Place) -> None:
    files = shell(large, "rm deep/old.bin")
    assert files.end["commits"] == 1
    assert "old.bin" not in git(large.tree, "ls-tree", "-r", "--name-only", files.end["branch"])


def test_a_file_that_was_put_in_is_in_the_tree_of_the_next_run(large: Place) -> None:
    large.configure(workspace="own" if large.own else "path", lfs_get=("all",))
    shell(large, "true")
    assert put(large, DATA) == {"parameters": {"taken": True}}

    files = shell(large, "sha256sum deep/old.bin; git status --short; echo end of status")
    assert OID in files.text
    assert "M deep" not in files.text
    assert files.end["commits"] == 0
    assert not files.end["uncommitted"]
    again = shell(large, "sha256sum deep/old.bin")
    assert OID in again.text
    assert again.end["commits"] == 0


@pytest.mark.parametrize(
    "data", [DATA[1:] + b"x", DATA + b"more", DATA[:-1]], ids=["other content", "longer", "shorter"]
)
def test_a_file_that_is_not_what_its_name_says_is_not_put_in(large: Place, data: bytes) -> None:
    shell(large, "true")
    assert put(large, data, OID, len(DATA))["error"] == "io.herald.Agent.Invalid"
    assert not object_of(large).exists()
    assert not list((large.tree / ".git/lfs").rglob("*.herald"))


def test_a_forged_file_is_not_checked_out_and_goes(place: Place) -> None:
    begin(place)
    shell(place, "true")
    object_of(place).parent.mkdir(parents=True, exist_ok=True)
    object_of(place).write_bytes(DATA[::-1])

    files = shell(place, "cat deep/old.bin")
    assert POINTER.splitlines()[1] in files.text
    assert files.end["commits"] == 0
    assert not object_of(place).exists()


def _symlink(path: Path) -> None:
    outside = path.parents[5] / "outside"
    outside.write_bytes(DATA)
    path.symlink_to(outside)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _forged(path: Path) -> None:
    path.write_bytes(DATA[::-1])


def _longer(path: Path) -> None:
    path.write_bytes(DATA + b"x")


def _folder(path: Path) -> None:
    path.mkdir()


def _nothing(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (_symlink, "cannot be read"),
        (_pipe, "not a regular file"),
        (_folder, "not a regular file"),
        (_forged, "SHA-256"),
        (_longer, "more than 200000 bytes"),
        (_nothing, "not in the workspace"),
    ],
)
def test_what_is_no_such_file_is_not_handed_out_and_the_reason_is_told(place: Place, lie: Any, reason: str) -> None:
    begin(place)
    shell(place, "true")
    object_of(place).parent.mkdir(parents=True, exist_ok=True)
    lie(object_of(place))
    reply, _ = get(place)
    assert not reply["parameters"]["held"]
    assert reason in reply["parameters"]["reason"]


def test_a_size_that_nobody_takes_is_refused_at_once(place: Place) -> None:
    begin(place)
    shell(place, "true")
    reply, _ = get(place, size=3 << 30)
    assert reply["error"] == "io.herald.Agent.Invalid"


def test_what_is_there_is_listed_and_nothing_else(place: Place) -> None:
    begin(place)
    shell(place, "true")
    put(place, DATA)
    assert place.call("ListLargeFiles", oids=[OID, "0" * 64]) == {"parameters": {"held": [OID]}}
    assert place.call("ListLargeFiles", oids=["../../x"])["error"] == "io.herald.Agent.Invalid"


@pytest.fixture
def without(large: Place) -> Place:
    """git-lfs is not installed."""
    programs = large.folder / "bin"
    programs.mkdir()
    for each in ("git", "sh", "cat", "rm", "touch", "true"):
        if found := shutil.which(each):
            (programs / each).symlink_to(found)
    large.environment["PATH"] = str(programs)
    return large


def test_without_git_lfs_a_run_says_what_to_install_before_its_agent_starts(without: Place) -> None:
    before = without.clone_state()
    files = shell(without, "touch /tmp/herald-never")
    assert files.end["outcome"] == "workspace"
    assert "git-lfs" in files.end["message"]
    assert "`apt-get install git-lfs`" in files.end["message"]
    assert files.text == ""
    assert without.clone_state() == before


def test_without_git_lfs_the_check_names_the_projects_that_need_it(without: Place) -> None:
    if without.own:
        shell(without, "true")  # from then on its objects are here
    missing = without.call("Check")["parameters"]["missing"]
    assert missing == ["git-lfs is not installed here, and pounce cannot do without: `apt-get install git-lfs`."]


def test_without_git_lfs_a_project_that_does_not_use_it_is_worked_in(place: Place) -> None:
    begin(place, **{".gitattributes": "# *.bin filter=lfs\n*.txt text\n"})
    programs = place.folder / "bin"
    programs.mkdir()
    for each in ("git", "rm"):
        (programs / each).symlink_to(str(shutil.which(each)))
    place.environment["PATH"] = str(programs)
    assert place.run("create hello.txt: hi").end["commits"] == 1
    assert place.call("Check")["parameters"]["missing"] == []
