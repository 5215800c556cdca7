"""What the CLI tells on its output: one JSON object in each line, of which only what is needed is understood."""

import json
import math
import os
from typing import Any

_MOST_PARTIAL = 4 << 20
_LINE = 120
"""Characters of a line of progress."""


USED = {
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "cache_read_input_tokens": "cacheReadInputTokens",
    "cache_creation_input_tokens": "cacheCreationInputTokens",
}
"""What is counted, as messages name it and as results do."""


class Stream:
    """Everything a run of the CLI has said so far."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._texts: list[str] = []
        self._texts_size = 0
        self.session = ""
        self.echoes: list[str] = []
        """Ids of the messages that it has taken up: it begins with them, or has repeated them."""
        self.withdrawn: list[str] = []
        """Ids of the messages that it has dropped unread, or broken off."""
        self.results: list[dict[str, Any]] = []
        self.api_error: dict[str, Any] = {}
        """The newest message that stands for an error of the API."""
        self.resets_at = 0
        """When an exhausted limit is reset, in epoch seconds; 0: not told."""
        self._used: dict[str, int] = {}
        """Tokens of the messages since the last result, by their ids: each is told once for every part of it."""
        self._used_before = 0

    def take(self, line: bytes) -> str:
        """Understand one line; returns a line of progress, or nothing. What is no event is ignored."""
        try:
            event = json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return ""
        event = as_object(event)
        kind = event.get("type")
        if kind == "result":
            self._result(event)
        elif kind == "user" and event.get("isReplay"):
            self.echoes.append(as_text(event.get("uuid")))
        elif kind == "command_lifecycle":
            self._lifecycle(event)
        elif kind == "assistant":
            return self._assistant(event)
        elif kind == "system":
            return self._system(event)
        elif kind == "rate_limit_event":
            self._limit(as_object(event.get("rate_limit_info")))
        return ""

    @property
    def tokens(self) -> int:
        """All that went through the models so far; exact up to the last result."""
        return self._used_before + sum(self._used.values())

    @property
    def cost_usd(self) -> float:
        """What the results so far tell."""
        return sum(as_number(used.get("costUSD")) for result in self.results for used in models_of(result).values())

    def _result(self, event: dict[str, Any]) -> None:
        self.results.append(event)
        exact = sum(as_number(used.get(key)) for used in models_of(event).values() for key in USED.values())
        self._used_before += int(exact) or sum(self._used.values())
        self._used = {}

    def answer(self) -> str:
        """What the agent answered: the results, or as far as it came."""
        answers = [as_text(result.get("result")) for result in self.results if not result.get("is_error")]
        whole = "\n\n".join(answer for answer in answers if answer)
        return whole or "\n\n".join(self._texts)

    def _system(self, event: dict[str, Any]) -> str:
        if event.get("subtype") == "init":
            self.session = as_text(event.get("session_id"))
        elif event.get("subtype") == "api_retry":
            cause = as_text(event.get("error")) or "no answer"
            status = event.get("error_status") or ""
            tries = f"attempt {event.get('attempt')} of {event.get('max_retries')}"
            return f"the API says {status} {cause}, {tries}".replace("  ", " ")
        return ""

    def _lifecycle(self, event: dict[str, Any]) -> None:
        """What becomes of a message. Its beginning is told before the model is asked, the repetition perhaps after."""
        told = {"started": self.echoes, "cancelled": self.withdrawn}.get(as_text(event.get("state")))
        if told is not None:
            told.append(as_text(event.get("command_uuid")))

    def _limit(self, info: dict[str, Any]) -> None:
        if info.get("status") == "rejected":
            self.resets_at = int(as_number(info.get("resetsAt")))

    def _assistant(self, event: dict[str, Any]) -> str:
        if event.get("error"):
            self.api_error = event
            self._limit(
                {"status": "rejected", **as_object(as_object(event.get("api_error_params")).get("rate_limit_info"))}
            )
            return ""
        progress = ""
        message = as_object(event.get("message"))
        used = as_object(message.get("usage"))
        self._used[as_text(message.get("id"))] = sum(int(as_number(used.get(name))) for name in USED)
        for block in as_list(message.get("content")):
            if block.get("type") == "tool_use":
                progress = self._act(as_text(block.get("name")), as_object(block.get("input")))
            elif block.get("type") == "text" and event.get("parent_tool_use_id") is None:
                progress = self._say(as_text(block.get("text")))
        return progress

    def _say(self, text: str) -> str:
        if text and self._texts_size < _MOST_PARTIAL:
            self._texts.append(text)
            self._texts_size += len(text)
        return one_line(text)

    def _act(self, tool: str, given: dict[str, Any]) -> str:
        if tool == "Bash":
            return one_line("$ " + as_text(given.get("command")))
        for key in ("file_path", "path", "pattern", "description"):
            if value := as_text(given.get(key)):
                if key.endswith("path"):
                    value = value.removeprefix(self._folder + os.sep)
                return one_line(f"{tool} {value}")
        return one_line(tool)


def one_line(text: str) -> str:
    """The text as one short line."""
    line = " ".join(text[: 8 * _LINE].split())
    return line if len(line) <= _LINE else line[: _LINE - 1] + "\N{HORIZONTAL ELLIPSIS}"


def models_of(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What was used since the result before, model by model."""
    models = as_object(result.get("model_usage_since_last_result"))
    return {model: as_object(used) for model, used in models.items()}


def as_object(value: object) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[dict[str, Any]]:
    """The objects in the value if it is a list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def as_text(value: object) -> str:
    """The value if it is text, else nothing."""
    return value if isinstance(value, str) else ""


def as_number(value: object) -> float:
    """The value if it is a number that can be counted with, else 0."""
    try:
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0
    except OverflowError:
        return 0.0
