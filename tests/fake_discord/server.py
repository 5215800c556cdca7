"""The server put together: REST, gateway and files on one port, the control interface on another."""

import asyncio
import contextlib
import socket
import ssl

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.fake_discord.changes import Changes
from tests.fake_discord.control import Control
from tests.fake_discord.faults import Faults
from tests.fake_discord.gateway import Gateway
from tests.fake_discord.ids import Json
from tests.fake_discord.rest import About, Rest
from tests.fake_discord.routes import channels, guilds, interactions, messages, webhooks
from tests.fake_discord.world import World

# Routes that begin alike: the fixed words before the places.
_ROUTES = (*guilds.routes.all, *channels.routes.all, *messages.routes.all, *webhooks.routes.all,
           *interactions.routes.all)  # fmt: skip


class Server:
    """One Discord. `reset` makes it a new one at the same addresses."""

    changes: Changes
    gate: asyncio.Event
    world: World
    faults: Faults
    gateway: Gateway
    rest: Rest
    control: Control

    def __init__(
        self, token: str, tls: tuple[str, str] | None, gateway_url: str, cdn_url: str, address: str = "127.0.0.1"
    ) -> None:
        self._token, self._gateway_url, self._cdn_url = token, gateway_url, cdn_url
        self._host = address
        self._tls: ssl.SSLContext | None = None
        if tls:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(*tls)
        self._placeholder: socket.socket | None = None
        self._runner: web.AppRunner | None = None
        self._site: web.SockSite | None = None
        self._connected: set[asyncio.Transport] = set()
        self.port = 0

    async def start(self, port: int, control_port: int) -> Json:
        """Listen. Returns the addresses."""
        self._placeholder = _bound(self._host, port)  # keeps the port while nobody listens on it
        self.port = self._placeholder.getsockname()[1]
        self.reset()
        app = web.Application(client_max_size=64 << 20, middlewares=[self._count])
        app.router.add_get("/", self._gateway)
        app.router.add_get("/attachments/{channel}/{id}/{name}", self._file)
        app.router.add_route("*", "/api/{tail:.*}", self._rest)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await self.listen()
        control = await self._start_control(control_port)
        scheme = "s" if self._tls else ""
        return {
            "api": f"http{scheme}://{self._host}:{self.port}/api/v10",
            "gateway": self.gateway.address,
            "control": f"http://127.0.0.1:{control}",
            "token": self.world.token,
        }

    async def _start_control(self, port: int) -> int:
        app = web.Application(client_max_size=256 << 20)
        app.router.add_post("/{command}", self._control)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        listening = _bound("127.0.0.1", port)
        listening.listen(64)
        await web.SockSite(runner, listening).start()
        return int(listening.getsockname()[1])

    def reset(self) -> None:
        """A new Discord: nothing of what was, no connection."""
        if hasattr(self, "world"):
            self.gateway.abort()
            self.abort()
            self.faults.clear()
            self.gate.set()
            self.changes.note("reset")
        self.changes = Changes()
        self.gate = asyncio.Event()
        self.gate.set()
        scheme = "s" if self._tls else ""
        address = self._gateway_url or f"ws{scheme}://{self._host}:{self.port}/"
        self.world = World(self.changes, self._cdn_url or f"http{scheme}://{self._host}:{self.port}", self._token)
        self._token = self.world.token
        self.faults = Faults()
        self.gateway = Gateway(self.world, self.gate, address)
        self.rest = Rest(self.world, self.faults, self.gate, self._about)
        self.rest.routes.extend(_ROUTES)
        self.control = Control(self)

    def _about(self) -> About:
        limit = self.gateway.settings.identify_limit
        left = max(0, limit - len(self.gateway.identifies))
        return About(self.gateway.address, limit, left, self.gateway.settings.allowed_intents)

    async def listen(self) -> None:
        """Take connections."""
        if self._site or not self._runner:
            return
        self._site = web.SockSite(self._runner, _bound(self._host, self.port), ssl_context=self._tls, backlog=512)
        await self._site.start()

    async def refuse(self) -> None:
        """Refuse connections from now on."""
        if self._site:
            await self._site.stop()
            self._site = None

    def abort(self) -> None:
        """Reset every connection, REST and gateway."""
        for transport in list(self._connected):
            transport.abort()

    @web.middleware
    async def _count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        transport = request.transport
        if transport:
            self._connected.add(transport)
        self._connected = {each for each in self._connected if not each.is_closing()}
        return await handler(request)

    async def _gateway(self, request: web.Request) -> web.StreamResponse:
        return await self.gateway.serve(request)

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        return await self.rest.handle(request)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        """An attachment; it goes through the faults as everything does."""
        await self.gate.wait()
        self.changes.note("download", path=request.path)
        fault = self.faults.next("GET", request.path)
        if fault and fault.delay:
            await asyncio.sleep(fault.delay)
        if fault and fault.drop and request.transport:
            request.transport.abort()
        if fault and fault.status:
            return web.Response(status=fault.status, text=fault.text)
        found = self.world.files.get(request.match_info["id"])
        return web.Response(body=found.data) if found else web.Response(status=404)

    async def _control(self, request: web.Request) -> web.StreamResponse:
        status, answer = await self.control.call(request.match_info["command"], await request.json())
        return web.json_response(answer, status=status)

    async def stop(self) -> None:
        with contextlib.suppress(ConnectionError):
            self.abort()
        if self._runner:
            await self._runner.cleanup()


def _bound(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    return made
