"""A project that can be deployed, with a stand-in for the docker command."""

from pathlib import Path

import pytest

from tests.deploy.unit import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)
