"""Which messages are votes: the emoji alone, in any skin tone, or the ways of writing it."""

import re
from typing import Literal

Choice = Literal["approve", "reject"]

_TONE = "[\U0001f3fb-\U0001f3ff]?\ufe0f?"
_NAME_TONE = r"(?:_tone[1-5])?:(?::skin-tone-[1-6]:)?"
_APPROVE = re.compile(rf"\+1|\U0001f44d{_TONE}|:(?:\+1|thumbsup|thumbs_up){_NAME_TONE}")
_REJECT = re.compile(rf"-1|\U0001f44e{_TONE}|:(?:-1|thumbsdown|thumbs_down){_NAME_TONE}")


def vote_of(text: str) -> Choice | None:
    """The vote that this message is; None when it is anything else."""
    text = text.strip()
    if _APPROVE.fullmatch(text):
        return "approve"
    if _REJECT.fullmatch(text):
        return "reject"
    return None
