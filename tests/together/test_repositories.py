"""Repositories as people bring them, each through its whole course in an own workspace.

A trait that lets no run begin is refused with a sentence. Whatever happens, a run leaves the person's clone as it is,
byte for byte, also if the agent tries otherwise.
"""

from pathlib import Path

import pytest

from tests.support.expectations import TRAITS
from tests.support.ground import Ground
from tests.support.herald import Site
from tests.together import course


@pytest.mark.parametrize("trait", [name for name in TRAITS if name != "a bare repository"])
def test_a_repository_with_this_trait_goes_its_course_as_a_person_expects(tmp_path: Path, trait: str) -> None:
    course.run(tmp_path, trait, "own")


def test_a_bare_repository_is_no_project_and_that_is_said_at_once(tmp_path: Path) -> None:
    ground = Ground(tmp_path / "g")
    TRAITS["a bare repository"](ground)
    with Site(tmp_path) as site:
        site.clone = ground.clone
        herald = site.start(ready=False)
        assert herald.wait_until_gone() == 3
        assert "is no git clone: give a clone made with `git clone URL`" in herald.stderr


def test_the_state_may_lie_in_the_clone_itself(tmp_path: Path) -> None:
    ground = Ground(tmp_path / "g")
    ground.finish()
    with Site(tmp_path) as site:
        site.clone, site.remote = ground.clone, ground.remote
        site.state = ground.clone / ".herald"
        herald = site.start()
        attempt = f"shell echo new > new.txt; touch {ground.clone}/evil; rm {ground.clone}/README.md; echo tried"
        assert herald.ended(herald.enqueue(attempt)) == "done"
        assert sorted(each.name for each in ground.clone.iterdir()) == [".git", ".gitignore", ".herald", "README.md"]
        assert [each["commits"] for each in herald.proposals()] == [1]
        herald.finish(None)
