from pathlib import Path

import pytest

from tests.config.installation import Installation


@pytest.fixture
def herald(tmp_path: Path) -> Installation:
    return Installation(tmp_path)
