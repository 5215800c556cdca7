"""The way of a REST request: written down, through the faults, to its route, answered."""

import asyncio
import dataclasses
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from aiohttp import BodyPartReader, web

from tests.fake_discord.answers import ApiError, reply, too_many
from tests.fake_discord.faults import Faults
from tests.fake_discord.ids import Json
from tests.fake_discord.world import Upload, World


class Created(dict[str, Any]):
    """An answer with status 201."""


class About(NamedTuple):
    """What REST says of the gateway."""

    url: str
    limit: int
    left: int
    intents: int


@dataclasses.dataclass
class Call:
    """What a route gets to see of a request."""

    world: World
    body: Json
    files: list[Upload]
    query: Mapping[str, str]
    gateway: About


Act = Callable[..., Any]


class Route:
    def __init__(self, method: str, template: str, act: Act, *, open_: bool) -> None:
        self.method, self.template, self.act = method, template, act
        self.open = open_
        self.pattern = re.compile(template.replace("{}", "([^/]+)"))


class Routes:
    """The routes of one resource. Their functions get the call and the parts of the path."""

    def __init__(self) -> None:
        self.all: list[Route] = []

    def add(self, method: str, template: str, *, open_: bool = False) -> Callable[[Act], Act]:
        """`open_`: called without the bot's token, the path itself holds a secret."""

        def register(act: Act) -> Act:
            self.all.append(Route(method, template, act, open_=open_))
            return act

        return register


@dataclasses.dataclass
class Request:
    """One request as it came, and what was answered; status 0: nothing yet, or nothing at all."""

    seq: int
    at: float
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw: bytes = b""
    body: Json = dataclasses.field(default_factory=dict)
    files: list[Upload] = dataclasses.field(default_factory=list)
    status: int = 0
    answer: str = ""


class Rest:
    """All requests of the bot and of its webhooks."""

    def __init__(self, world: World, faults: Faults, gate: asyncio.Event, about: Callable[[], About]) -> None:
        self.world = world
        self.faults = faults
        self.log: list[Request] = []
        self.routes: list[Route] = []
        self._gate = gate
        self._about = about

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = re.sub(r"^/api(/v\d+)?(?=/)", "", request.rel_url.raw_path)
        noted = await self._note(request, path)
        await self._gate.wait()
        answer = await self._through_faults(request, noted)
        noted.status = answer.status if answer else 0
        noted.answer = answer.text or "" if answer else ""
        self.world.changes.note(
            "answer", request=noted.seq, method=noted.method, path=path, status=noted.status
        )  # fmt: skip
        await self._gate.wait()
        if answer is None and request.transport:
            request.transport.abort()
        return answer or web.Response()

    async def _note(self, request: web.Request, path: str) -> Request:
        noted = Request(
            len(self.log) + 1, time.time(), request.method, path, dict(request.query), dict(request.headers)
        )
        self.log.append(noted)
        await _read(request, noted)
        self.world.changes.note("request", request=noted.seq, method=noted.method, path=path)
        return noted

    async def _through_faults(self, request: web.Request, noted: Request) -> web.Response | None:
        """The answer; None: the connection is to be reset. What nobody waits for any more is not carried out."""
        fault = self.faults.next(noted.method, noted.path)
        if fault is None:
            return self._answer(noted) if request.transport else None
        if fault.delay:
            await asyncio.sleep(fault.delay)
        answer = self._answer(noted) if fault.after else None
        if fault.hold:
            await self.faults.released.wait()
        if fault.drop or not request.transport:
            return None
        if fault.retry_after is not None:
            return too_many(fault.retry_after, fault.headers, everywhere=fault.everywhere, via=fault.via)
        if fault.status and fault.body is not None:
            return reply(fault.body, fault.status, fault.headers)
        if fault.status:
            return web.Response(status=fault.status, text=fault.text, headers=fault.headers)
        return answer or self._answer(noted)

    def _answer(self, noted: Request) -> web.Response:
        try:
            return self._route(noted)
        except ApiError as error:
            return reply(error.body, error.status)

    def _route(self, noted: Request) -> web.Response:
        authorized = bool(self.world.token) and noted.headers.get("Authorization") == f"Bot {self.world.token}"
        for route in self.routes:
            matched = route.pattern.fullmatch(noted.path) if route.method == noted.method else None
            if not matched:
                continue
            if not route.open:
                if not authorized:
                    raise ApiError(401, 0, "401: Unauthorized")
                wait = self.faults.charge_global()
                if wait is not None:
                    return too_many(wait, everywhere=True)
            parts = [unquote(each) for each in matched.groups()]
            headers, wait = self.faults.charge(route.method, route.template, parts[0] if parts else "")
            if wait is not None:
                return too_many(wait, headers)
            call = Call(self.world, noted.body, noted.files, noted.query, self._about())
            answer = route.act(call, *parts)
            return reply(answer, 201 if isinstance(answer, Created) else 200, headers)
        raise ApiError(404, 0, "404: Not Found")


async def _read(request: web.Request, noted: Request) -> None:
    """The body. What is raw of several parts is their contents one after the other."""
    if not request.content_type.startswith("multipart/"):
        noted.raw = await request.read()
        parsed = json.loads(noted.raw) if noted.raw else {}
        noted.body = parsed if isinstance(parsed, dict) else {"list": parsed}
        return
    async for part in await request.multipart():
        assert isinstance(part, BodyPartReader)
        data = bytes(await part.read())
        noted.raw += data
        if part.name == "payload_json":
            noted.body = json.loads(data)
        elif part.filename:
            noted.files.append(Upload(part.filename, data))
