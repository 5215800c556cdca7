"""Files of git-lfs in a submodule: a run commits pointers there, and the files stay in the workspace."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.place import Place, git
from tests.agent.test_submodules import UPDATE, Project
from tests.support.largefiles import pointer_of

pytestmark = pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")

DATA = os.urandom(50_000)
OID = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


def committed(place: Place) -> Project:
    """A run has committed a large file in the submodule `lib`, and taken it out again."""
    project = Project(place)
    data = place.folder / "data"
    data.write_bytes(DATA)
    adds = f"echo '*.bin filter=lfs diff=lfs merge=lfs -text' > .gitattributes; cp {data} new.bin; git add ."
    adds = f"{adds} && git commit -qm 'Add it' && git rm -q new.bin && git commit -qm 'Remove it'"
    project.run(f"{UPDATE} && cd lib && {adds}")
    return project


def kept(place: Place, within: str = ".git") -> Path:
    return place.tree / within / "modules/lib/lfs/objects" / OID[:2] / OID[2:4] / OID


def test_a_large_file_of_a_submodule_is_committed_as_a_pointer_and_stays_from_run_to_run(place: Place) -> None:
    project = committed(place)

    assert kept(place).read_bytes() == DATA
    assert git(place.tree / "lib", "config", "--local", "filter.lfs.process") == "git-lfs filter-process --skip"
    assert git(place.tree / "lib", "show", "agent/pounce-1~1:new.bin") == pointer_of(DATA).strip()
    text = project.run("cd lib && git checkout -q agent/pounce-1~1 && git lfs checkout && sha256sum new.bin").text
    assert OID in text
    assert kept(place).read_bytes() == DATA


def test_a_large_file_of_a_submodule_survives_a_kill_while_the_git_folder_is_exchanged(place: Place) -> None:
    project = committed(place)
    shutil.copytree(place.tree / ".git", place.tree / ".git.old", symlinks=True)
    shutil.rmtree(place.tree / ".git/modules/lib/lfs")

    project.run("true")

    assert kept(place).read_bytes() == DATA
    assert not (place.tree / ".git.old").exists()


def test_a_link_in_the_place_of_a_submodule_s_large_files_is_not_taken_along(place: Place) -> None:
    project = committed(place)
    project.run("cd .git/modules/lib && mv lfs ../../../elsewhere && ln -s ../../../elsewhere lfs")
    assert not os.path.lexists(place.tree / ".git/modules/lib/lfs")
