"""A message becomes a task, a post reaches who follows."""

from herald import names
from herald.bus.blocking import call
from tests.gateway.running import Bus, Reader, post, posts, reply_to, say, wait_for


def test_a_message_is_a_task_of_its_author(chat: Bus) -> None:
    assert say("create hello.txt: hi") == "task"

    (enqueued,) = chat.calls(names.WORKER, "Enqueue")
    assert enqueued["key"] == "m1"
    assert enqueued["project"] == "demo"
    assert enqueued["text"] == "create hello.txt: hi"
    assert enqueued["author"]["id"].startswith("unix:")


def test_a_post_reaches_the_followers_and_the_log(chat: Bus) -> None:
    reader = Reader()
    post("hello", identity="Demo", answers="m1", last=True)

    wait_for(lambda: reader.posts)
    assert reader.posts == posts()
    assert reader.posts[0]["text"] == "```\nhello\n```"
    assert (reader.posts[0]["identity"], reader.posts[0]["answers"], reader.posts[0]["last"]) == ("Demo", "m1", True)


def test_status_is_one_line(chat: Bus) -> None:
    post("hello")

    assert call(names.GATEWAY, "GetStatus") == {
        "duty": "terminal chat, 1 post",
        "chat": "terminal",
        "posts": 1,
        "messages": 0,
        "connection": "",
        "latency": -1.0,
        "outbox": 0,
    }


def test_help_lists_the_table(chat: Bus) -> None:
    assert say("!help") == "command"

    text = reply_to("m1")["text"]
    for form in ("!run <project> <task>", "!status", "!cancel [project] [--running]", "!push [project]", "!reload"):
        assert form in text
