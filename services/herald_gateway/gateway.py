"""herald-gateway put together: database, lanes, terminal, Discord, interface, duty."""

import os
from typing import TYPE_CHECKING

from herald.database import Database
from herald.errors import Unavailable
from herald.interfaces.gateway import Gateway
from herald.service import Service
from herald.snapshot import Current
from herald_gateway import records, schema
from herald_gateway.alerts import Alerts
from herald_gateway.api import GatewayService, describe
from herald_gateway.credential import token
from herald_gateway.handover import Handover
from herald_gateway.intake import Intake
from herald_gateway.lanes import Lanes
from herald_gateway.outbox import Outbox
from herald_gateway.terminal import Terminal

if TYPE_CHECKING:
    from herald_gateway.discord_chat.presence import DiscordChat


async def main(service: Service) -> None:
    """Open the state, hand over what waits from before, connect, serve."""
    database = await service.database("gateway.sqlite", schema.MIGRATIONS)
    snapshot = Current()
    outbox = Outbox(database, _files_folder(service))
    terminal = Terminal(outbox)
    outbox.add(terminal)
    handover = Handover(database, outbox, snapshot)
    lanes = Lanes(database, handover.act)
    intake = Intake(database, snapshot, lanes)
    discord = _discord(service, database, snapshot, intake, outbox)
    if discord is not None:
        handover.knows_discord(discord.additions)
        lanes.tell(discord.acted)
        await discord.start()
    alerts = Alerts(outbox)
    acting = service.task(lanes.run(), "lanes")

    async def duty() -> str:
        if acting.done():
            raise Unavailable("messages are not being handed over any more")
        await alerts.post_new()
        if discord is not None:
            discord.check_duty()
        waiting = await database.read(records.waiting)
        return describe(terminal.name, waiting, discord, await discord.backlog() if discord is not None else 0)

    service.duty(duty)
    service.serve(Gateway, GatewayService(database, snapshot, intake, outbox, terminal, discord))


def _discord(
    service: Service, database: Database, snapshot: Current, intake: Intake, outbox: Outbox
) -> "DiscordChat | None":
    """Discord, if there is a token for it. It costs 20 MB, which a Herald without one does not pay."""
    if not token():
        return None
    from herald_gateway.discord_chat.presence import DiscordChat

    return DiscordChat(service, database, snapshot, intake, outbox)


def _files_folder(service: Service) -> str:
    folder = os.path.join(service.state, "files")
    try:
        os.makedirs(folder, mode=0o750, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be made: {error.strerror}") from error
    return folder
