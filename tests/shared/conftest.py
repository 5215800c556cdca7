from collections.abc import Iterator

import pytest

from tests.shared.staging import Stage, staged


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A bus of the test's own, which this process calls too."""
    for stage in staged():
        for name in ("HERALD_MODE", "HERALD_BUS", "HERALD_STATE"):
            monkeypatch.setenv(name, stage.environment[name])
        yield stage
