"""Repositories as people bring them, each through its whole course in a person's folder.

A trait that lets no run begin is refused with a sentence. What is theirs stays.
"""

from pathlib import Path

import pytest

from tests.support.expectations import TRAITS
from tests.together import course


@pytest.mark.parametrize("trait", [name for name in TRAITS if name != "a bare repository"])
def test_a_repository_with_this_trait_goes_its_course_as_a_person_expects(tmp_path: Path, trait: str) -> None:
    course.run(tmp_path, trait, "path")
