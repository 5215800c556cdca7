"""Crashes that herald-alert left as files, posted once each, also those of the gateway itself."""

import asyncio
import os

from herald import journal, names
from herald.alerts import LARGEST, NAME, Alert, decode
from herald.durable import read_limited
from herald.errors import HeraldError
from herald_gateway.outbox import Draft, Outbox
from herald_gateway.rendering import well_formed


class Alerts:
    """Looks for alerts. The log of posts knows which were posted; the folder is not the gateway's to change."""

    def __init__(self, outbox: Outbox) -> None:
        self._folder = names.state_folder(names.ALERT)
        self._outbox = outbox
        self._settled: set[str] = set()
        self._told: set[str] = set()

    async def post_new(self) -> None:
        """Post what is new. What cannot be posted now is tried again at the next look and harms nothing else."""
        for alert in await asyncio.to_thread(self._find):
            try:
                await self._outbox.post(_draft(alert))
            except HeraldError as error:
                self._tell_once(alert.file_name, f"cannot be posted yet: {error.message}")
                return
            self._settled.add(alert.file_name)

    def _find(self) -> list[Alert]:
        """Alerts that were not posted, oldest first. Runs in a thread."""
        try:
            present = set(os.listdir(self._folder))
        except FileNotFoundError:
            return []  # nothing ever crashed, or this is a try
        except OSError as error:
            self._tell_once("", f"the folder cannot be read: {error.strerror}")
            return []
        self._settled &= present
        self._told &= present | {""}
        found = (self._read(name) for name in sorted(present - self._settled))
        return [alert for alert in found if alert is not None]

    def _read(self, name: str) -> Alert | None:
        if name.startswith(".") or name in ("lock", "throttle.json"):
            return None
        try:
            if not NAME.fullmatch(name):
                raise ValueError("its name is not that of an alert")
            return decode(name, read_limited(os.path.join(self._folder, name), LARGEST))
        except FileNotFoundError:
            return None
        except OSError as error:
            self._tell_once(name, f"cannot be read: {error.strerror}")
        except (ValueError, RecursionError) as error:
            self._tell_once(name, f"is no alert, ignoring it: {error}")
            self._settled.add(name)
        return None

    def _tell_once(self, name: str, problem: str) -> None:
        if name not in self._told:
            self._told.add(name)
            journal.warning(f"{os.path.join(self._folder, name)!r} {problem}")


def _draft(alert: Alert) -> Draft:
    content = well_formed("\n".join(alert.lines))
    return Draft(
        key=f"alert:{alert.id}",
        project="",
        kind="notice",
        text=well_formed(alert.text),
        file_name=f"{alert.unit}.txt",
        content=content or None,
        delivered=alert.posted,
    )
