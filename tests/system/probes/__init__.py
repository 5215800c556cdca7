"""What an agent might try, each act by a name; and what it must be able to do.

    python3 -m tests.system.probes FACTS

Run inside a machine by the system's own Python: as the agent within a run, where all of `FORBIDDEN` is to fail, and as
root, which shows that each of them does something. FACTS is a JSON file; the answers go to the path in its `answers`.
"""

from tests.system.probes import foreign, needed, places, single
from tests.system.probes.acts import Act

FORBIDDEN: dict[str, Act] = {**places.TABLE, **foreign.TABLE, **single.TABLE}
NEEDED: dict[str, Act] = needed.TABLE
