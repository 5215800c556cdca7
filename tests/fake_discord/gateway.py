"""The gateway: connections, sessions that outlive them, and what can go wrong with both."""

import asyncio
import contextlib
import dataclasses
import json
import secrets
import time
import zlib
from typing import Any

from aiohttp import WSMsgType, web

from tests.fake_discord import world as worlds
from tests.fake_discord.events import Events
from tests.fake_discord.ids import Json
from tests.fake_discord.permissions import BITS, in_channel
from tests.fake_discord.world import Event, World


@dataclasses.dataclass
class Settings:
    """How the gateway behaves. A test changes what it needs."""

    hello: bool = True
    ack: bool = True
    ready: bool = True
    """Whether IDENTIFY is answered."""
    resumable: bool = True
    heartbeat_ms: int = 41250
    delay: float = 0.0
    """Seconds before a connection is accepted."""
    refuse: int = 0
    """HTTP status that a connection is refused with; 0: it is accepted."""
    close_after_hello: int = 0
    """Close code sent right after HELLO; 0: none."""
    allowed_intents: int = ~0
    newest_told: bool = True
    """Whether channels come with the id of their newest message."""
    identify_limit: int = 1000
    """One more than this many and the token is reset."""
    identify_interval: float = 0.0
    """Seconds between two IDENTIFYs; earlier ones are answered with op 9."""


@dataclasses.dataclass
class Session:
    id: str
    intents: int
    sent: list[tuple[str, str]]
    """type and frame of every dispatch, as it was then"""
    connection: "Connection | None" = None

    def give(self, kind: str, data: Any) -> None:
        """One dispatch, at once or when the session is resumed."""
        frame = json.dumps({"op": 0, "t": kind, "s": len(self.sent) + 1, "d": data})
        self.sent.append((kind, frame))
        if self.connection:
            self.connection.put_raw(frame)


class Connection:
    """One socket. Frames leave in the order in which they were put, from one zlib context if asked for."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None, compressed: bool) -> None:
        self.socket = socket
        self.transport = transport
        self.session: Session | None = None
        self.closed_here = False
        self.received: list[float] = []
        self._deflate = zlib.compressobj() if compressed else None
        self._frames: asyncio.Queue[str] = asyncio.Queue()

    def put(self, payload: Json) -> None:
        self._frames.put_nowait(json.dumps(payload))

    def put_raw(self, text: str) -> None:
        self._frames.put_nowait(text)

    async def write(self, gate: asyncio.Event) -> None:
        """Send what is put, for as long as the connection lives and the gate is open."""
        while True:
            text = await self._frames.get()
            await gate.wait()
            with contextlib.suppress(ConnectionError, RuntimeError):
                if self._deflate is None:
                    await self.socket.send_str(text)
                else:
                    data = self._deflate.compress(text.encode()) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
                    await self.socket.send_bytes(data)

    def abort(self) -> None:
        if self.transport:
            self.transport.abort()


class Gateway:
    """All connections and sessions of the bot."""

    def __init__(self, world: World, gate: asyncio.Event, address: str) -> None:
        self.world = world
        self.address = address
        self.settings = Settings()
        self.events = Events(self._give)
        self.sessions: dict[str, Session] = {}
        self.connections: set[Connection] = set()
        self.identifies: list[float] = []
        self.resumes = 0
        self.frames: list[Json] = []
        self._gate = gate
        world.emit = self.events.emit

    def _give(self, event: Event) -> None:
        for session in list(self.sessions.values()):
            if event.intent and not session.intents & event.intent:
                continue
            if not self._sees(event):
                continue
            session.give(event.type, self._without_content(session, event))
        self.world.changes.note("event", type=event.type, channel=event.channel)

    def _sees(self, event: Event) -> bool:
        channel = self.world.channels.get(event.channel)
        if channel is None:
            return True
        return bool(in_channel(self.world, self.world.bot["id"], channel) & BITS["view_channel"])

    def _without_content(self, session: Session, event: Event) -> Json:
        if event.intent != worlds.MESSAGES or "content" not in event.data or session.intents & worlds.CONTENT:
            return event.data
        own = self.world.bot["id"]
        if event.data["author"]["id"] == own or any(each["id"] == own for each in event.data["mentions"]):
            return event.data
        return {**event.data, "content": "", "embeds": [], "attachments": [], "components": []}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection, from HELLO to its end."""
        self.world.changes.note("gateway", act="connecting")
        await self._gate.wait()
        if self.settings.refuse:
            return web.Response(status=self.settings.refuse)
        await asyncio.sleep(self.settings.delay)
        socket = web.WebSocketResponse(max_msg_size=4096, autoping=False)  # a frozen server is silent
        await socket.prepare(request)
        connection = Connection(socket, request.transport, request.query.get("compress") == "zlib-stream")
        self.connections.add(connection)
        writing = asyncio.create_task(connection.write(self._gate))
        try:
            await self._converse(connection)
        finally:
            writing.cancel()
            self._lost(connection)
        return socket

    async def _converse(self, connection: Connection) -> None:
        if self.settings.hello:
            connection.put(_control(10, {"heartbeat_interval": self.settings.heartbeat_ms, "_trace": ["fake"]}))
        if self.settings.close_after_hello:
            await asyncio.sleep(0)
            await connection.socket.close(code=self.settings.close_after_hello)
        async for message in connection.socket:
            await self._gate.wait()
            if message.type is WSMsgType.PING:
                await self._pong(connection, message.data)
            if message.type is not WSMsgType.TEXT:
                continue
            try:
                frame = json.loads(message.data)
            except ValueError:
                await connection.socket.close(code=4002, message=b"Error while decoding payload.")
                return
            if not await self._heard(connection, frame):
                return

    async def _pong(self, connection: Connection, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            await connection.socket.pong(data)
            self.world.changes.note("gateway", act="pong")

    async def _heard(self, connection: Connection, frame: Json) -> bool:
        """Act on one frame; False when the connection is closed by it."""
        operation, data = frame["op"], frame["d"]
        self.frames.append({"at": time.time(), "op": operation, "d": data})
        now = time.monotonic()
        connection.received = [each for each in connection.received if each > now - 60] + [now]
        if len(connection.received) > 120:
            await connection.socket.close(code=4008, message=b"Rate limited.")
            return False
        if operation == 1:
            if self.settings.ack:
                connection.put(_control(11, None))
            return True
        if operation == 2:
            return await self._identify(connection, data)
        if operation == 6:
            return await self._resume(connection, data)
        if connection.session is None:
            await connection.socket.close(code=4003, message=b"Not authenticated.")
            return False
        return True

    async def _identify(self, connection: Connection, data: Json) -> bool:
        settings, now = self.settings, time.monotonic()
        self.world.changes.note("gateway", act="identify", intents=data["intents"])
        early = bool(self.identifies) and now - self.identifies[-1] < settings.identify_interval
        self.identifies.append(now)
        if len(self.identifies) > settings.identify_limit:
            self.world.token = ""
        if not self.world.token or data["token"] != self.world.token:
            await connection.socket.close(code=4004, message=b"Authentication failed.")
            return False
        if connection.session:
            await connection.socket.close(code=4005, message=b"Already authenticated.")
            return False
        if data["intents"] & ~settings.allowed_intents:
            await connection.socket.close(code=4014, message=b"Disallowed intent(s).")
            return False
        if early:
            connection.put(_control(9, False))
            return True
        if settings.ready:
            self._begin(connection, data["intents"])
        return True

    def _begin(self, connection: Connection, intents: int) -> None:
        world = self.world
        session = Session(secrets.token_hex(16), intents, [], connection)
        connection.session = session
        self.sessions[session.id] = session
        here = [each for each in world.guilds.values() if world.bot["id"] in each.members]
        user = {**world.bot, "verified": True, "mfa_enabled": False, "email": None, "flags": 0}
        session.give("READY", {
            "v": 10, "user": user, "guilds": [{"id": each.id, "unavailable": True} for each in here],
            "session_id": session.id, "session_type": "normal", "resume_gateway_url": self.address,
            "application": {"id": world.application_id, "flags": 1 << 19}, "private_channels": [],
            "relationships": [], "_trace": [],
        })  # fmt: skip
        for guild in here:
            made = world.guild_create(guild)
            if not self.settings.newest_told:
                made = {**made, "channels": [{**each, "last_message_id": None} for each in made["channels"]]}
            session.give("GUILD_CREATE", made)
        world.changes.note("gateway", act="ready", session=session.id)

    async def _resume(self, connection: Connection, data: Json) -> bool:
        self.resumes += 1
        self.world.changes.note("gateway", act="resume")
        if not self.world.token or data["token"] != self.world.token:
            await connection.socket.close(code=4004, message=b"Authentication failed.")
            return False
        session = self.sessions.get(data["session_id"]) if self.settings.resumable else None
        if session is None or data["seq"] is None or data["seq"] > len(session.sent):
            connection.put(_control(9, False))
            return True
        connection.session, session.connection = session, connection
        for _, frame in session.sent[data["seq"] :]:
            connection.put_raw(frame)
        session.give("RESUMED", {"_trace": []})
        self.world.changes.note("gateway", act="resumed", session=session.id)
        return True

    def _lost(self, connection: Connection) -> None:
        self.connections.discard(connection)
        session = connection.session
        if session and session.connection is connection:
            session.connection = None
            if connection.socket.close_code in (1000, 1001) and not connection.closed_here:
                self.sessions.pop(session.id, None)  # the client ended it itself
        self.world.changes.note("gateway", act="lost", code=connection.socket.close_code)

    def control(self, operation: int, data: Any = None) -> None:
        """Send op 7 (reconnect) or op 9 (session invalid; data: whether it may be resumed)."""
        for connection in self.connections:
            connection.put(_control(operation, data))

    def raw(self, text: str) -> None:
        """Send any text as a frame."""
        for connection in self.connections:
            connection.put_raw(text)

    def dispatch(self, kind: str, data: Any) -> None:
        """Send any event, well-formed or not, to every session."""
        for session in self.sessions.values():
            session.give(kind, data)

    async def close(self, code: int) -> None:
        for connection in list(self.connections):
            connection.closed_here = True
            await connection.socket.close(code=code)

    def abort(self) -> None:
        """Reset every connection, as a cut line does."""
        for connection in list(self.connections):
            connection.abort()


def _control(operation: int, data: Any) -> Json:
    return {"op": operation, "t": None, "s": None, "d": data}
