"""systemd's own tool for Varlink, where the machine has one."""

import shutil

import pytest


def varlinkctl() -> str:
    """The program; skips the test where there is none."""
    found = shutil.which("varlinkctl")
    if found is None:
        pytest.skip("varlinkctl is not here; it comes with systemd 255 and later")
    return found
