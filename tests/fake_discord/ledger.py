"""What there is to see: messages, requests, interactions, all changes in order."""

import base64
from typing import TYPE_CHECKING

from tests.fake_discord.ids import Json
from tests.fake_discord.rest import Request

if TYPE_CHECKING:
    from tests.fake_discord.server import Server


class Ledger:
    """Questions. None of them changes anything."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._world = server.world

    def about(self) -> Json:
        """Ids and secrets of this world."""
        world = self._world
        return {"token": world.token, "bot": world.bot["id"], "application": world.application_id,
                "guild": world.guild_id, "owner": world.owner["id"]}  # fmt: skip

    async def wait(self, since: int, seconds: float) -> int:
        """The number of the newest change, once there is one above `since`."""
        return await self._server.changes.wait(since, seconds)

    def changes(self, since: int = 0, kind: str = "") -> list[Json]:
        return [each for each in self._server.changes.log[since:] if not kind or each["kind"] == kind]

    def messages(self, channel: str) -> list[Json]:
        """Everything in a channel, oldest first, with what only one user sees."""
        return [self._told(each) for each in sorted(self._world.messages[channel].values(), key=lambda m: int(m["id"]))]

    def message(self, message: str) -> Json | None:
        for channel in self._world.messages.values():
            if message in channel:
                return self._told(channel[message])
        return None

    def _told(self, message: Json) -> Json:
        author = message["author"]
        return {
            "id": message["id"], "channel": message["channel_id"], "author": author["id"], "name": author["username"],
            "bot": author["bot"], "avatar": author["avatar"] or "", "content": message["content"],
            "kind": message["type"], "webhook": message.get("webhook_id", ""), "embeds": message["embeds"],
            "buttons": [each for row in message["components"] for each in row["components"]],
            "files": [{"id": each["id"], "name": each["filename"], "size": each["size"], "url": each["url"]}
                      for each in message["attachments"]],
            "reactions": message["_reactions"], "notified": message["_notified"], "only_for": message["_only_for"],
            "reply_to": message.get("message_reference", {}).get("message_id", ""),
            "nonce": str(message.get("nonce", "")), "edited": message["edited_timestamp"] is not None,
            "flags": message["flags"], "thread": message["id"] if message["id"] in self._world.channels else "",
        }  # fmt: skip

    def file(self, id: str) -> str:
        """The contents of an attachment, base64."""
        return base64.b64encode(self._world.files[id].data).decode()

    def channels(self, guild: str = "") -> list[Json]:
        return [each for each in self._world.channels.values() if not guild or each.get("guild_id") == guild]

    def webhooks(self, channel: str = "") -> list[Json]:
        return [each for each in self._world.webhooks.values() if not channel or each["channel_id"] == channel]

    def commands(self) -> list[Json]:
        return list(self._world.commands.values())

    def interaction(self, id: str) -> Json:
        """How an interaction was answered."""
        for each in self._world.interactions.values():
            if each.id == id:
                return {"id": id, "token": each.token, "acked": each.acked, "ephemeral": each.ephemeral,
                        "original": each.original, "choices": each.choices, "followups": each.followups}  # fmt: skip
        raise LookupError(f"no interaction {id}")

    def requests(self, since: int = 0) -> list[Json]:
        """All REST requests, without file contents."""
        return [_told_request(each) for each in self._server.rest.log[since:]]

    def leaks(self, text: str) -> list[int]:
        """The requests whose path, query, body or files hold this text; the header with the token is not looked at."""
        wanted = text.encode()
        escaped = text.encode("unicode_escape")
        found = []
        for each in self._server.rest.log:
            headers = " ".join(value for key, value in each.headers.items() if key != "Authorization")
            place = each.raw + f"\n{each.path} {each.query} {headers}".encode()
            if wanted in place or escaped in place:
                found.append(each.seq)
        return found

    def frames(self) -> list[Json]:
        """What the client sent over the gateway."""
        return self._server.gateway.frames

    def gateway_state(self) -> Json:
        gateway = self._server.gateway
        return {
            "connections": len(gateway.connections), "identifies": len(gateway.identifies),
            "resumes": gateway.resumes,
            "ready": sum(each.session is not None for each in gateway.connections),
            "sent": [[kind for kind, _ in each.sent] for each in gateway.sessions.values()],
        }  # fmt: skip


def _told_request(noted: Request) -> Json:
    return {
        "seq": noted.seq, "at": noted.at, "method": noted.method, "path": noted.path, "query": noted.query,
        "body": noted.body, "files": [{"name": each.name, "size": len(each.data)} for each in noted.files],
        "status": noted.status, "answer": noted.answer,
        "authorization": noted.headers.get("Authorization", ""),
    }  # fmt: skip
