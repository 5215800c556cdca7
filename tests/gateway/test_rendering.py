import pytest

from herald_gateway.rendering import BLOCK_LIMIT, harmless, render_block, render_line, render_text, well_formed

FENCE = "```"


def inside(block: str) -> str:
    assert block.startswith(f"{FENCE}\n")
    assert block.endswith(f"\n{FENCE}")
    return block[4:-4]


def test_the_border_between_block_and_file() -> None:
    short, long = "x" * (BLOCK_LIMIT - 1), "x" * BLOCK_LIMIT

    assert inside(render_block(short, "", "output.txt").text) == short
    rendered = render_block(long, "", "output.txt")
    assert rendered.file == f"{long}\n".encode()
    assert rendered.text == "1,900 characters, in the file output.txt."


@pytest.mark.parametrize("text", ["```", "a\n```\nb", "`" * 1899, "``` ````", "~~~ `` `", "x``"])
def test_backticks_inside_cannot_end_the_block(text: str) -> None:
    block = render_block(text, "", "output.txt").text

    assert FENCE not in inside(block)
    assert block.count(FENCE) == 2
    assert len(block) <= 2000


def test_no_output_is_said() -> None:
    assert inside(render_block(" \n", "", "output.txt").text) == "(no output)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b]0;title\x07", "␛[31mred␛]0;title␇"),
        ("abc\u202edef\u2066x\u2069", "abcdefx"),
        ("ze\u200bro\ufeff\u2060", "zero"),
        ("a\rb\r\nc\u2028d", "a\nb\nc\nd"),
        ("c1 \x9b31m \x7f", "c1 \ufffd31m ␡"),
        ("tab\tand ünïcödé 日本\u3000👍🏽", "tab\tand ünïcödé 日本\u3000👍🏽"),
    ],
)
def test_nothing_steers_a_terminal_or_hides(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_secrets_are_masked_in_blocks_files_and_lines() -> None:
    token = "sk-ant-api03-" + "a" * 40
    hidden = token[:10] + "\u200b" + token[10:]

    assert token not in render_block(f"the key is {token}", "", "f").text
    assert token not in render_block(f"the key is {hidden}", "", "f").text
    file = render_block(f"{token} {'x' * 5000}", "", "f")
    assert file.file is not None
    assert token.encode() not in file.file
    assert token not in file.plain
    assert token not in render_text(token).text
    assert "sk-ant" not in render_line(f"working with {token}")


def test_a_line_that_is_cut_shows_no_part_of_a_secret() -> None:
    assert "sk-ant" not in render_line("x" * 285 + " sk-ant-api03-" + "a" * 40)


def test_half_surrogates_are_replaced_and_pairs_joined() -> None:
    assert well_formed("a\ud800b \ud83d\udc4d \0") == "a\ufffdb 👍 \0"
