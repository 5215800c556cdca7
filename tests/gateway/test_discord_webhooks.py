"""Under which webhook an agent speaks: the book, the project's file, or one that is made; and what makes it anew."""

import asyncio
import json
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from herald import masking, snapshot
from herald.errors import Conflict, Denied, HeraldError, Invalid, Unavailable
from herald_gateway.outbox import Draft
from tests.discord import bare
from tests.fake_discord.client import Discord

if TYPE_CHECKING:
    from herald_gateway.discord_chat.webhooks import Hook, Webhooks

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
GIF = b"GIF89a" + bytes(100)


class Posted:
    """Takes the place of the outbox: what Herald says of its own accord, each key once."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    async def post(self, draft: Draft) -> None:
        self.texts.setdefault(draft.key, draft.text)

    @property
    def text(self) -> str:
        return "\n".join(self.texts.values())


class Desk(NamedTuple):
    """What a test works with; each `run` is a life of its own of the gateway, over the same files."""

    discord: Discord
    folder: Path
    posted: Posted
    channel: str

    def project(self, **fields: Any) -> snapshot.Project:
        given = {
            "name": "demo", "display_name": "Demo", "path": "/srv/demo", "channel": self.channel,
            "agent_name": "Pounce", "enabled": True, "workspace": "path", "auto_commit": True,
            "push_requires_approval": True, "branch_prefix": "agent/demo", "remote": "",
        }  # fmt: skip
        return snapshot.Project(**{**given, **fields})

    def run(self, act: "Callable[[Webhooks], Awaitable[Any]]") -> Any:
        """Log in and do this; returns what it returns."""
        from herald_gateway.discord_chat.link import Link
        from herald_gateway.discord_chat.webhooks import Webhooks

        path = self.folder / "snapshot.json"
        server = snapshot.Discord(api=self.discord.api)
        path.write_bytes(snapshot.encode(snapshot.EMPTY._replace(generation=1, discord=server)))

        async def live() -> Any:
            client = bare.discord.Client(intents=bare.discord.Intents.none())
            async with client:
                await client.login(self.discord.token)
                link = Link()
                link.logged_in(client)
                return await act(Webhooks(link, snapshot.Current(str(path)), self.posted, str(self.folder)))

        bare.point_at(self.discord)
        return asyncio.run(live())

    def of(self, **fields: Any) -> "Hook | None":
        found: Hook | None = self.run(lambda webhooks: webhooks.of(self.project(**fields)))
        return found

    def renew(self, picture: bytes | None = None, **fields: Any) -> "Hook":
        hook: Hook = self.run(lambda webhooks: webhooks.renew(self.project(**fields), picture))
        return hook

    @property
    def book(self) -> Path:
        return self.folder / "webhooks.json"

    def entries(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.book.read_text())
        return found

    def made(self) -> list[str]:
        """Ids of the webhooks in the channel."""
        return [each.id for each in self.discord.webhooks(self.channel)]


@pytest.fixture
def desk(discord: Discord, tmp_path: Path) -> Desk:
    return Desk(discord, tmp_path, Posted(), discord.channel("demo"))


def test_one_is_made_once_and_written_down_for_its_owner_alone(desk: Desk) -> None:
    first = desk.of()
    assert first is not None
    assert first.own
    assert desk.of() == first
    (there,) = desk.discord.webhooks(desk.channel)
    assert (there.id, there.token, there.name) == (first.id, first.token, "Pounce")
    assert desk.entries()["demo"].endswith(f"/webhooks/{first.id}/{first.token}")
    assert stat.S_IMODE(desk.book.stat().st_mode) == 0o600


def test_one_that_was_made_before_a_kill_is_adopted(desk: Desk) -> None:
    first = desk.of()
    desk.book.unlink()  # as if the kill had come before the writing
    assert desk.of() == first
    assert desk.made() == [first.id if first else ""]


def test_an_answer_that_is_lost_makes_no_second_one(desk: Desk) -> None:
    desk.discord.trouble.fault("POST", ".*/webhooks", drop=True, after=True)
    with pytest.raises(Unavailable):
        desk.of()
    assert desk.of() is not None
    assert len(desk.made()) == 1


def test_many_at_once_make_one(desk: Desk) -> None:
    async def together(webhooks: "Webhooks") -> set[Any]:
        return set(await asyncio.gather(*(webhooks.of(desk.project()) for _ in range(5))))

    desk.discord.trouble.fault("POST", ".*/webhooks", times=0, delay=0.2)
    assert len(desk.run(together)) == 1
    assert len(desk.made()) == 1


def test_the_book_comes_before_the_project_file_and_both_before_a_new_one(desk: Desk) -> None:
    by_hand, in_file = (desk.discord.webhook(desk.channel, name) for name in ("Hand", "File"))
    fallback = desk.of(webhook_url=desk.discord.webhook_url(in_file))
    assert fallback is not None
    assert (fallback.id, fallback.own) == (in_file.id, False)
    assert not desk.book.exists()
    desk.book.write_text(json.dumps({"demo": desk.discord.webhook_url(by_hand), "gone": 7}))
    first = desk.of(webhook_url=desk.discord.webhook_url(in_file))
    assert first is not None
    assert (first.id, first.own) == (by_hand.id, False)
    assert len(desk.made()) == 2
    assert stat.S_IMODE(desk.book.stat().st_mode) == 0o600


def test_an_edit_by_hand_holds_at_once_and_one_elsewhere_is_fine(desk: Desk) -> None:
    elsewhere = desk.discord.webhook(desk.discord.channel("elsewhere"), "Other")

    async def edited(webhooks: "Webhooks") -> tuple[str, str]:
        before = await webhooks.of(desk.project())
        desk.book.write_text(json.dumps({"demo": desk.discord.webhook_url(elsewhere)}))
        after = await webhooks.of(desk.project())
        assert before
        assert after
        return before.id, after.id

    before, after = desk.run(edited)
    assert (before in desk.made(), after) == (True, elsewhere.id)


def test_other_entries_stay_as_they_are(desk: Desk) -> None:
    theirs = {"z": "not ours", "a": None, "b": {"x": [1]}}
    desk.book.write_text(json.dumps(theirs))
    desk.of()
    assert {name: value for name, value in desk.entries().items() if name != "demo"} == theirs
    assert list(desk.entries())[:3] == list(theirs)


@pytest.mark.parametrize("broken", ["", "{", "[]", '"x"', '{"a": 1,}', "\xff\x00", "[" * 20000])
def test_a_broken_book_is_set_aside_and_reported(desk: Desk, broken: str) -> None:
    desk.book.write_text(broken, encoding="latin-1")
    assert desk.of() is not None
    (aside,) = desk.folder.glob("webhooks.json.damaged-*")
    assert aside.read_text(encoding="latin-1") == broken
    assert aside.name in desk.posted.text
    assert set(desk.entries()) == {"demo"}


@pytest.mark.parametrize(
    "url", ["nonsense", "https://example.org/api/webhooks/1/aaaaaaaaaa", "https://discord.com/api/webhooks/1", 7, None]
)
def test_a_nonsense_entry_is_told_once_and_left_out(desk: Desk, url: Any) -> None:
    desk.book.write_text(json.dumps({"demo": url}))
    in_file = desk.discord.webhook(desk.channel, "File")
    for _ in range(2):
        hook = desk.of(webhook_url=desk.discord.webhook_url(in_file))
        assert hook is not None
        assert hook.id == in_file.id
    assert len(desk.posted.texts) == 1
    assert "webhooks.json" in desk.posted.text
    assert desk.entries() == {"demo": url}


@pytest.mark.parametrize(
    "url", ["discord.com/api", "discordapp.com/api/v10", "canary.discord.com/api", "ptb.discord.com/api"]
)
def test_an_address_of_discord_is_taken_as_it_is(desk: Desk, url: str) -> None:
    desk.book.write_text(json.dumps({"demo": f"https://{url}/webhooks/42/abcdefghij-_K"}))
    hook = desk.of()
    assert hook is not None
    assert hook[:2] == ("42", "abcdefghij-_K")


def test_one_that_was_deleted_is_made_anew(desk: Desk) -> None:
    async def again(webhooks: "Webhooks") -> "tuple[Hook | None, Hook | None]":
        first = await webhooks.of(desk.project())
        assert first is not None
        desk.discord.remove_webhook(first.id)
        await webhooks.gone(desk.project(), first)
        assert desk.entries() == {}
        return first, await webhooks.of(desk.project())

    first, second = desk.run(again)
    assert first != second
    assert desk.made() == [second.id]


def test_a_dead_one_of_the_project_file_is_not_tried_again(desk: Desk) -> None:
    in_file = desk.discord.webhook(desk.channel, "File")
    url = desk.discord.webhook_url(in_file)
    desk.discord.remove_webhook(in_file.id)

    async def again(webhooks: "Webhooks") -> "Hook | None":
        first = await webhooks.of(desk.project(webhook_url=url))
        assert first is not None
        assert first.id == in_file.id
        await webhooks.gone(desk.project(webhook_url=url), first)
        return await webhooks.of(desk.project(webhook_url=url))

    second = desk.run(again)
    assert [second.id] == desk.made()
    assert desk.of(webhook_url=url) == second


def test_an_entry_that_was_put_in_meanwhile_is_not_forgotten_for_the_dead_one(desk: Desk) -> None:
    async def replaced(webhooks: "Webhooks") -> None:
        first = await webhooks.of(desk.project())
        assert first is not None
        desk.book.write_text(json.dumps({"demo": "https://discord.com/api/webhooks/42/abcdefghij"}))
        await webhooks.gone(desk.project(), first)

    desk.run(replaced)
    assert desk.entries() == {"demo": "https://discord.com/api/webhooks/42/abcdefghij"}


def test_a_project_that_moved_to_another_channel_gets_one_there(desk: Desk) -> None:
    first, channel = desk.of(), desk.discord.channel("moved")
    second = desk.of(channel=channel)
    assert first is not None
    assert second is not None
    assert first.id != second.id
    assert [each.id for each in desk.discord.webhooks(channel)] == [second.id]


def test_without_the_permission_there_is_none_and_it_is_told_once(desk: Desk) -> None:
    desk.discord.permissions("manage_channels")

    async def twice(webhooks: "Webhooks") -> list[Any]:
        return [await webhooks.of(desk.project()) for _ in range(3)]

    assert desk.run(twice) == [None] * 3
    assert desk.of() is None
    assert len(desk.posted.texts) == 1
    assert "Manage Webhooks" in desk.posted.text
    assert f"<#{desk.channel}>" in desk.posted.text
    assert len(desk.discord.requests("GET", "/webhooks")) == 2  # one in each life, not one for each post


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"channel": ""}, Conflict, "has no channel"),
        ({"channel": "99"}, Conflict, "gone"),
    ],
)
def test_what_renewing_lacks_is_said(desk: Desk, fields: dict[str, Any], error: type[HeraldError], words: str) -> None:
    with pytest.raises(error, match=words):
        desk.renew(**fields)


def test_renewing_says_the_permission_that_is_missing(desk: Desk) -> None:
    desk.discord.overwrite(desk.channel, desk.discord.bot, deny=("manage_webhooks",))
    with pytest.raises(Denied, match="Manage Webhooks"):
        desk.renew(PNG)


def test_a_channel_that_has_too_many_is_said(desk: Desk) -> None:
    for number in range(15):
        desk.discord.webhook(desk.channel, f"by hand {number}")
    with pytest.raises(Conflict, match="15 webhooks"):
        desk.renew()


def test_renewing_many_times_leaves_one_of_ours_with_the_newest_name_and_picture(desk: Desk) -> None:
    by_hand = desk.discord.webhook(desk.channel, "Pounce")
    pictures = []
    for picture, name in ((None, "Pounce"), (PNG, "Pounce"), (None, "Pounce"), (GIF, "Pounce the Cat")):
        hook = desk.renew(picture, agent_name=name)
        (ours,) = [each for each in desk.discord.webhooks(desk.channel) if each.application]
        assert (ours.id, ours.name) == (hook.id, name)
        assert hook.own
        pictures.append(ours.avatar)
    assert pictures[0] == ""
    assert pictures[1] == pictures[2] != ""
    assert pictures[3] not in ("", pictures[1])
    assert by_hand.id in desk.made()
    assert len(desk.made()) == 2


def test_renewing_removes_all_others_of_ours(desk: Desk) -> None:
    first = desk.of()
    desk.of(name="other", agent_name="Other")
    assert len(desk.made()) == 1  # the one there was is renamed, not left behind
    assert desk.renew(PNG).id == (first.id if first else "")


def test_a_server_that_knows_no_change_of_a_webhook_gets_a_new_one_in_its_place(desk: Desk) -> None:
    first = desk.renew()
    desk.discord.trouble.fault("PATCH", "/webhooks/.*", times=0, status=405, body={"code": 0, "message": "405"})
    second = desk.renew(PNG)
    assert second.id != first.id
    assert desk.made() == [second.id]
    assert desk.discord.webhooks(desk.channel)[0].avatar


def test_a_picture_that_is_none_is_said(desk: Desk) -> None:
    with pytest.raises(Invalid, match="neither PNG"):
        desk.renew(b"%PDF-1.4 no picture")


@pytest.mark.parametrize(("agent", "name"), [("My Discord Pal", "Demo"), ("", "Demo"), ("x" * 100, "x" * 80)])
def test_the_name_is_one_that_discord_takes(desk: Desk, agent: str, name: str) -> None:
    desk.renew(agent_name=agent)
    assert desk.discord.webhooks(desk.channel)[0].name == name


def test_every_address_is_a_secret_from_the_moment_it_is_known(desk: Desk) -> None:
    hook = desk.of()
    assert hook is not None
    url = "https://example.org/hooks/not-ours-at-all"
    desk.book.write_text(json.dumps({**desk.entries(), "other": url}))
    desk.of()
    assert masking.mask(f"x {hook.token} y {url} z") == "x [secret] y [secret] z"


def test_a_book_that_cannot_be_written_is_said_and_makes_no_second_webhook(desk: Desk) -> None:
    desk.book.mkdir()
    with pytest.raises(Unavailable, match=r"webhooks\.json"):
        desk.renew()
    desk.book.rmdir()
    desk.renew()
    assert len(desk.made()) == 1
