"""herald-gateway put together: database, lanes, terminal, interface, duty."""

import os

from herald.errors import Unavailable
from herald.interfaces.gateway import Gateway
from herald.service import Service
from herald.snapshot import Current
from herald_gateway import records, schema
from herald_gateway.alerts import Alerts
from herald_gateway.api import GatewayService, describe
from herald_gateway.handover import Handover
from herald_gateway.intake import Intake
from herald_gateway.lanes import Lanes
from herald_gateway.outbox import Outbox
from herald_gateway.terminal import Terminal


async def main(service: Service) -> None:
    """Open the state, hand over what waits from before, serve."""
    database = await service.database("gateway.sqlite", schema.MIGRATIONS)
    snapshot = Current()
    outbox = Outbox(database, _files_folder(service))
    terminal = Terminal(outbox)
    outbox.add(terminal)
    handover = Handover(database, outbox, snapshot)
    lanes = Lanes(database, handover.act)
    intake = Intake(database, snapshot, lanes)
    alerts = Alerts(outbox)
    acting = service.task(lanes.run(), "lanes")

    async def duty() -> str:
        if acting.done():
            raise Unavailable("messages are not being handed over any more")
        await alerts.post_new()
        return describe(terminal.name, await database.read(records.waiting))

    service.duty(duty)
    service.serve(Gateway, GatewayService(database, snapshot, intake, outbox, terminal))


def _files_folder(service: Service) -> str:
    folder = os.path.join(service.state, "files")
    try:
        os.makedirs(folder, mode=0o750, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be made: {error.strerror}") from error
    return folder
