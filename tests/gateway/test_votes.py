import pytest

from herald_gateway.votes import vote_of


@pytest.mark.parametrize(
    "text",
    [
        "+1", " +1\n", "👍", "👍🏻", "👍🏿", "👍️", ":+1:", ":thumbsup:", ":thumbsup_tone3:", ":+1_tone1:",
        ":+1::skin-tone-4:",
    ],
)  # fmt: skip
def test_thumbs_up_in_every_writing_approves(text: str) -> None:
    assert vote_of(text) == "approve"


@pytest.mark.parametrize(
    "text", ["-1", "👎", "👎🏾", "👎️", ":-1:", ":thumbsdown:", ":thumbsdown_tone5:", ":-1::skin-tone-2:"]
)
def test_thumbs_down_in_every_writing_rejects(text: str) -> None:
    assert vote_of(text) == "reject"


@pytest.mark.parametrize(
    "text", ["", "+", "+11", "+1 please", "👍👍", "👍👎", "👌", ":+2:", "x👍", "1", "- 1", ":tada:"]
)
def test_anything_else_is_no_vote(text: str) -> None:
    assert vote_of(text) is None
