"""The calls that put messages into Discord, each made once.

discord.py's own would do, but it repeats a webhook's message after a 5xx by itself, which posts it twice when the
first one went through; and a call of it that is given up while it sleeps over a global rate limit stops all others.
"""

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
import discord

from herald.errors import Unavailable
from herald_gateway.discord_chat.cards import File
from herald_gateway.discord_chat.link import Link
from herald_gateway.discord_chat.pacing import Pacing
from herald_gateway.discord_chat.rest import DEADLINE, Ambiguous, Refused, attempt
from herald_gateway.discord_chat.webhooks import Hook

_CONNECT = 4.0
"""Seconds for a connection: while the network is away the next try must not be long in coming."""
_SLOWEST = 100_000
"""Bytes of a file per second that are waited for."""
_BRIEF = 5.0
_PAGE = 100
_MOST_PAGES = 20

Json = dict[str, Any]


class Posted(NamedTuple):
    """A message in Discord, as far as it matters to know it again. `files` are names and sizes."""

    id: str
    channel: str
    author: str
    webhook: str
    content: str
    files: tuple[tuple[str, int], ...]


class Wire:
    """The calls. Each raises Unavailable, Ambiguous or Refused, and waits for its rate limit where it says so."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._pacing = Pacing()
        self._session: tuple[discord.Client, aiohttp.ClientSession] | None = None

    async def post(self, channel: str, body: Json, files: Sequence[File] = ()) -> Posted:
        """A message of the bot's; waits for the rate limit."""
        path = f"/channels/{channel}/messages"
        return _posted(await self._call("POST", path, f"post {channel}", body, files))

    async def execute(self, hook: Hook, body: Json, files: Sequence[File] = (), thread: str = "") -> Posted:
        """A message through a webhook; waits for the rate limit."""
        path = f"/webhooks/{hook.id}/{hook.token}"
        query = _query(wait="1", with_components="1" if "components" in body else "", thread_id=thread)
        return _posted(await self._call("POST", path + query, f"execute {hook.id}", body, files, bot=False))

    async def edit(
        self,
        channel: str,
        message: str,
        hook: Hook | None,
        body: Json,
        files: Sequence[File] = (),
        *,
        thread: str = "",
        patient: bool = True,
    ) -> None:
        """Change a message, of the bot's own without a hook; waits for the rate limit if we are patient."""
        if hook is None:
            path = f"/channels/{channel}/messages/{message}"
            await self._call("PATCH", path, f"edit {channel}", body, files, patient=patient)
        else:
            components = "1" if "components" in body else ""
            path = f"/webhooks/{hook.id}/{hook.token}/messages/{message}"
            path += _query(with_components=components, thread_id=thread)
            await self._call("PATCH", path, f"edit {hook.id}", body, files, bot=False, patient=patient)

    def edit_delay(self, channel: str, hook: Hook | None) -> float:
        """Seconds until a message may be changed."""
        return self._pacing.delay(f"edit {hook.id if hook else channel}")

    async def fill(self, token: str, body: Json, files: Sequence[File] = ()) -> Posted:
        """The answer to an interaction that was deferred."""
        client = await self._link.client()
        path = f"/webhooks/{client.application_id}/{token}/messages/@original"
        return _posted(await self._call("PATCH", path, f"fill {token}", body, files, bot=False))

    async def newest(self, channel: str) -> str:
        """The id of the newest message of a channel, `0` when it is empty."""
        found = await self._call("GET", f"/channels/{channel}/messages?limit=1", f"history {channel}")
        return _posted(found[0]).id if isinstance(found, list) and found else "0"

    async def after(self, channel: str, message: str) -> list[Posted]:
        """The messages of a channel after this one, oldest first; of very many the first."""
        found: list[Posted] = []
        for _ in range(_MOST_PAGES):
            path = f"/channels/{channel}/messages?limit={_PAGE}&after={message}"
            page = await self._call("GET", path, f"history {channel}")
            if not isinstance(page, list):
                raise Ambiguous("the answer of Discord is no list of messages")
            found += sorted(map(_posted, page), key=lambda each: int(each.id))
            if len(page) < _PAGE:
                break
            message = found[-1].id
        return found

    async def react(self, channel: str, message: str, emoji: str) -> None:
        """Put a reaction of the bot's under a message; twice is once."""
        path = f"/channels/{channel}/messages/{message}/reactions/{quote(emoji)}/@me"
        await self._call("PUT", path, f"react {channel}")

    async def type(self, channel: str) -> None:
        """Show that something is being written; left out when it would have to wait."""
        if self._pacing.delay(f"type {channel}") == 0:
            await self._call("POST", f"/channels/{channel}/typing", f"type {channel}", patient=False, deadline=_BRIEF)

    async def start_thread(self, channel: str, message: str, name: str) -> None:
        """Make a thread from a message; its id is that of the message."""
        body = {"name": name, "auto_archive_duration": 1440}
        await self._call("POST", f"/channels/{channel}/messages/{message}/threads", f"thread {channel}", body)

    async def make_channel(self, server: str, body: Json) -> str:
        """A channel in a server; returns its id."""
        answer = await self._call("POST", f"/guilds/{server}/channels", f"channels {server}", body)
        try:
            return str(int(answer["id"]))
        except (KeyError, TypeError, ValueError) as error:
            raise Ambiguous(f"the answer of Discord is no channel: {error!r}") from error

    def _session_of(self, client: discord.Client) -> aiohttp.ClientSession:
        """A session over the connections of the client, which closes them."""
        if self._session is None or self._session[0] is not client:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT)
            session = aiohttp.ClientSession(connector=client.http.connector, connector_owner=False, timeout=timeout)
            self._session = (client, session)
        return self._session[1]

    async def _call(
        self,
        method: str,
        path: str,
        route: str,
        body: Json | None = None,
        files: Sequence[File] = (),
        *,
        bot: bool = True,
        patient: bool = True,
        deadline: float = DEADLINE,
    ) -> Any:
        """One call; one that was refused for its rate was not made, so it is made again if we are patient."""
        deadline += sum(each.size for each in files) / _SLOWEST
        while True:
            await self._pacing.free(route)
            client = await self._link.client()
            exchange = partial(self._exchange, client, method, path, body, files, bot=bot)
            status, headers, answer = await attempt(exchange, deadline)
            if status != 429:
                self._pacing.note(route, headers)
                return _sorted_out(status, answer)
            seconds = self._pacing.refused(route, headers, answer)
            if not patient:
                raise Unavailable(f"Discord asks to wait {seconds:.1f} s (rate limit)")

    async def _exchange(
        self, client: discord.Client, method: str, path: str, body: Json | None, files: Sequence[File], *, bot: bool
    ) -> tuple[int, Mapping[str, str], object]:
        """Send, and read the answer: status, headers, and the body, as text when it is no JSON."""
        headers = {"User-Agent": client.http.user_agent}
        if bot:
            headers["Authorization"] = f"Bot {client.http.token}"
        with contextlib.ExitStack() as opened:
            form = None
            if files:
                form = aiohttp.FormData(quote_fields=False)  # Discord does not read escaped brackets
                form.add_field("payload_json", json.dumps(body or {}), content_type="application/json")
                for number, each in enumerate(files):
                    content = opened.enter_context(open(each.path, "rb")) if each.path else each.data
                    form.add_field(
                        f"files[{number}]", content, filename=each.name, content_type="application/octet-stream"
                    )
            url = discord.http.Route.BASE + path
            async with self._session_of(client).request(
                method, url, headers=headers, data=form, json=None if files else body
            ) as response:
                text = await response.text(errors="replace")
        answer: object = text
        with contextlib.suppress(ValueError, RecursionError):
            answer = json.loads(text) if text else None
        return response.status, response.headers, answer


def _sorted_out(status: int, answer: object) -> object:
    if status >= 500:
        raise Ambiguous(f"Discord answers {status}")
    if status < 300:
        return answer
    said = answer if isinstance(answer, dict) else {}
    code = said.get("code")
    text = f"{said.get('message', '') or str(answer)[:200]}{_fields(said.get('errors'))}"
    raise Refused(status, code if isinstance(code, int) else 0, text)


def _fields(errors: object) -> str:
    """Which fields Discord does not take: the innermost messages."""
    if isinstance(errors, dict):
        own = errors.get("_errors")
        if isinstance(own, list):
            return "".join(f"; {each.get('message', '')}" for each in own if isinstance(each, dict))
        return "".join(f" {key}{_fields(value)}" for key, value in errors.items())[:300]
    return ""


def _posted(answer: object) -> Posted:
    """A message out of an answer. One that cannot be read tells nothing of what was done."""
    try:
        assert isinstance(answer, dict)
        return Posted(
            id=str(int(answer["id"])),
            channel=str(answer["channel_id"]),
            author=str(answer["author"]["id"]),
            webhook=str(answer.get("webhook_id") or ""),
            content=str(answer.get("content") or ""),
            files=tuple((str(each["filename"]), int(each["size"])) for each in answer.get("attachments") or ()),
        )
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise Ambiguous(f"the answer of Discord is no message: {error!r}") from error


def _query(**given: str) -> str:
    """The query of a path, without what is empty."""
    there = "&".join(f"{name}={value}" for name, value in given.items() if value)
    return f"?{there}" if there else ""


async def pause(seconds: float, *events: asyncio.Event) -> None:
    """Sleep, but no longer than until one of these happens."""
    waiting = [asyncio.ensure_future(each.wait()) for each in (*events, asyncio.Event())]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
