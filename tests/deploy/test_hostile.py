"""A tree that was made to get out of its folder, or to fill the disk: nothing is started, nothing is left of it."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from herald.errors import Failed
from herald_deploy import unpacking
from tests.deploy.unit import COMPOSE, Place, special, tar_of

_REFUSED = {
    "above": tar_of({"compose.yaml": COMPOSE, "../escaped": "x"}),
    "above, further down": tar_of({"a/../../escaped": "x"}),
    "absolute": tar_of({"/tmp/escaped": "x"}),
    "this folder": tar_of({"./compose.yaml": "x"}),
    "empty part": tar_of({"a//b": "x"}),
    "through a link": tar_of({"out": "-> ..", "out/escaped": "x"}),
    "through a link that stays inside": tar_of({"in": "-> .", "in/escaped": "x"}),
    "link to the root": tar_of({"compose.yaml": COMPOSE, "link": "-> /etc/passwd"}),
    "link above": tar_of({"compose.yaml": COMPOSE, "a/link": "-> ../../state"}),
    "link above by another": tar_of({"x/y/s": "-> ../../d", "d/file": "x", "t": "-> x/y/s/../.."}),
    "twice": tar_of({"compose.yaml": COMPOSE})[:1024] + tar_of({"compose.yaml": "other"}),
    "file and folder": tar_of({"a": "x", "a/b": "x"}),
    "device": special("null", tarfile.CHRTYPE),
    "block device": special("disk", tarfile.BLKTYPE),
    "pipe": special("pipe", tarfile.FIFOTYPE),
    "hard link": special("hard", tarfile.LNKTYPE),
    "no tar": b"x" * 2048,
    "cut off": tar_of({"compose.yaml": COMPOSE, "long": "x" * 9000})[:4096],
}  # fmt: skip


@pytest.mark.parametrize("tar", _REFUSED.values(), ids=_REFUSED)
def test_a_hostile_tree_is_refused_and_nothing_of_it_is_left(place: Place, tar: bytes) -> None:
    before = {path for path in place.folder.rglob("*") if place.state not in path.parents}
    result = place.deploy(tar)

    assert result["outcome"] == "failed"
    assert result["message"].startswith(("the tree ", "the symbolic link ", "'", "'a/b'")), result
    assert place.docker.calls() == []
    assert place.trees() == set()
    after = {path for path in place.folder.rglob("*") if place.state not in path.parents}
    assert {path.name for path in after - before} <= {"files-0", "tree", "lock", "result", "log"}


def test_links_that_stay_inside_are_taken(place: Place) -> None:
    files = {"compose.yaml": COMPOSE, "a/b/up": "-> ../..", "a/loop": "-> loop", "gone": "-> a/nothing", "here": "-> ."}
    assert place.deploy(files)["outcome"] == "ok"


def _unpacked(path: Path, tar: bytes) -> None:
    file = path.with_suffix(".tar")
    file.write_bytes(tar)
    fd = os.open(file, os.O_RDONLY)
    try:
        unpacking.unpack(fd, str(path))
    finally:
        os.close(fd)


def test_more_files_than_anybody_needs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MOST_ENTRIES", 10)
    with pytest.raises(Failed, match="more than 10 files"):
        _unpacked(tmp_path / "tree", tar_of({f"file-{number}": "" for number in range(11)}))


def test_a_size_that_is_only_claimed_counts(tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        member = tarfile.TarInfo("huge")
        member.size = (2 << 30) + 1
        archive.fileobj.write(member.tobuf())
    with pytest.raises(Failed, match="more than 2048 MiB"):
        _unpacked(tmp_path / "tree", data.getvalue())
    assert list((tmp_path / "tree").iterdir()) == []
