"""A prompt is text: nothing in it is a command of the CLI, a file to be read, or broken off."""

import pytest

from tests.agent.place import Place
from tests.support import anthropic


def sent(api: anthropic.Api) -> str:
    """The person's message as the model got it."""
    messages = api.requests()[0]["body"]["messages"]
    blocks = [block for message in messages if message["role"] == "user" for block in message["content"]]
    return "\n".join(block["text"] for block in blocks if isinstance(block, dict) and block["type"] == "text")


@pytest.mark.parametrize("text", ["/cost", "  /compact", "/clear", "!ls", "#note", "@/etc/hostname", "--help", "-p x"])
def test_what_looks_like_a_command_reaches_the_model_as_text(real: Place, api: anthropic.Api, text: str) -> None:
    files = real.run(text)
    assert files.end["outcome"] == "ok"
    assert files.end["turns"] == 1
    assert text in sent(api)


def test_a_mentioned_file_is_not_read(real: Place, api: anthropic.Api) -> None:
    secret = real.folder / "secret.txt"
    secret.write_text("heliotrope")
    real.run(f"Please look: @{secret} and @/etc/hostname")
    assert "heliotrope" not in str(api.requests()[0]["body"])


def test_a_prompt_of_one_megabyte_arrives_whole(real: Place, api: anthropic.Api) -> None:
    text = "0123456789abcde\n" * 65536
    files = real.run(f"Begin\n{text}End [[text seen]]")
    assert files.end["outcome"] == "ok"
    assert files.text == "seen"
    assert text in sent(api)


def test_a_prompt_beyond_two_mebibytes_is_refused_with_a_reason(place: Place) -> None:
    files = place.run(b"x" * ((2 << 20) + 1))
    assert files.end["outcome"] == "failed"
    assert "at most 2097152" in files.end["message"]


def test_nul_and_broken_utf_8_become_visible(real: Place, api: anthropic.Api) -> None:
    files = real.run(b"a\0b \xff\xfe \xc3( \xed\xa0\x80 [[text fine]]")
    assert files.end["outcome"] == "ok"
    assert files.text == "fine"
    message = sent(api)
    assert "a\N{REPLACEMENT CHARACTER}b" in message
    assert "\0" not in message


def test_an_empty_prompt_is_answered(real: Place) -> None:
    files = real.run(b"")
    assert files.end["outcome"] == "ok"
