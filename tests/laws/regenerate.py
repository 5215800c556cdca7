"""Write the generated files anew: `python -m tests.laws.regenerate`.

The golden interface files are derived from the typed interfaces, the JSON schemas from the models of the configuration,
the units of a user's installation from those of the system.
"""

import importlib
from pathlib import Path

from herald import names
from herald.bus import varlink
from herald.interfaces.interface import Interface
from herald_config import schemas
from tests.laws import user_units
from tests.laws.repository import ROOT


def interfaces() -> dict[Path, str]:
    """The text of each interface by the file that holds it."""
    folder = ROOT / "shared/herald/interfaces"
    found = {}
    for service in (*names.LONG_RUNNING, *names.ON_CONNECT):
        interface: type[Interface] = getattr(
            importlib.import_module(f"herald.interfaces.{service}"), service.capitalize()
        )
        assert interface.interface == names.interface_of(service)
        found[folder / f"{interface.interface}.varlink"] = varlink.describe(interface)
    return found


def main() -> None:
    """Write them."""
    for path, text in interfaces().items():
        path.write_text(text)
    schemas.write(str(ROOT / "packaging/etc/schemas"))
    user_units.write()


if __name__ == "__main__":
    main()
