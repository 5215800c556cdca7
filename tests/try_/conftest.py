from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.try_.hosting import Host, hosting


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """An inetd of the test's own; whatever it leaves behind is killed at the end."""
    yield from hosting(tmp_path)
