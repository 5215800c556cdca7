"""What became of a run, from how the CLI ended: the outcome, and what a person is told to do next."""

from typing import Any, NamedTuple

from herald import names
from herald_agent.claude import Finished
from herald_agent.stream import USED, as_list, as_number, as_text, models_of, one_line

NOT_INSTALLED = (
    "Claude Code is not installed here: `./install.sh --with-claude` on a server, elsewhere"
    " `npm install -g @anthropic-ai/claude-code`, or name it in HERALD_CLAUDE."
)


class Outcome(NamedTuple):
    """`kind` is one of the words of the result file."""

    kind: str
    message: str


def not_installed() -> Outcome:
    """There is no CLI."""
    return Outcome("not_installed", NOT_INSTALLED)


def classify(finished: Finished, limit: float) -> Outcome:
    """The outcome of a run that the CLI ended, one way or another. `limit` is the deadline it had, in seconds."""
    if finished.stopped_by == "cancelled":
        return Outcome("cancelled", "Cancelled.")
    if finished.stopped_by == "timeout":
        return Outcome(
            "timeout", f"Stopped at its time limit of {_duration(limit)}; split the task, or raise task_limit."
        )
    if finished.stopped_by == "stopped":
        return Outcome("stopped", "Stopped together with Herald; it goes on when Herald is started.")
    if finished.broken or not finished.stream.results:
        return _crash(finished)
    result = finished.stream.results[-1]
    if result.get("is_error") is True:
        return _error(finished, result)
    if denials(finished):
        return Outcome(
            "denied", f"Not permitted: {', '.join(denials(finished))}. Reword the task, or do that part by hand."
        )
    if finished.code != 0:
        return Outcome(
            "failed", f"The agent answered, but ended with exit code {finished.code}{_said(finished.stderr)}."
        )
    return Outcome("ok", "")


def _crash(finished: Finished) -> Outcome:
    how = f"signal {-finished.code}" if finished.code < 0 else f"exit code {finished.code}"
    cause = finished.broken or f"it ended without a result ({how})"
    return Outcome("crash", f"The agent crashed: {cause}{_said(finished.stderr)}.")


def _said(stderr: str) -> str:
    lines = stderr.splitlines()
    return f": {one_line(lines[-1]).rstrip('.')}" if lines else ""


def _error(finished: Finished, result: dict[str, Any]) -> Outcome:
    """A result that says it is an error; the order of the questions matters."""
    words = one_line(as_text(result.get("result")) or " ".join(_words(result.get("errors")))).rstrip(".")
    subtype = as_text(result.get("subtype"))
    if subtype != "success":
        kind = {"error_max_turns": "max_turns", "error_max_budget_usd": "budget"}.get(subtype, "failed")
        return Outcome(kind, f"{words or subtype}. Split the task, or send it again.")
    cause = as_text(finished.stream.api_error.get("error"))
    if result.get("api_error") == "usage_limit_reached":
        return Outcome("usage_limit", f"{words}. It goes on when the limit is reset.")
    if result.get("terminal_reason") in ("prompt_too_long", "blocking_limit"):
        return Outcome("context_overflow", f"{words}. Split the task into smaller ones.")
    if cause == "authentication_failed":
        return Outcome("auth", f"{words}. {how_to_log_in()}")
    if cause == "billing_error" or result.get("api_error_status") == 402:
        return Outcome("billing", f"{words}. Check the balance at console.anthropic.com.")
    if result.get("api_error_status") == 429:
        return Outcome("rate_limit", f"{words}. Try again later.")
    if cause in ("server_error", "overloaded") or result.get("api_error") == "connection_failed":
        return Outcome("transient", f"{words}. The API was not reachable or overloaded; try again later.")
    return Outcome("failed", f"{words or 'The agent failed without a word'}. Reword the task, or send it again.")


def _words(value: object) -> list[str]:
    return [as_text(each) for each in value] if isinstance(value, list) else []


def how_to_log_in() -> str:
    """The next step for whoever has no credential, or one that is refused."""
    if names.mode() == "try":
        return "Start `claude` once and log in, or set ANTHROPIC_API_KEY, and try again."
    folder = f"{names.config_folder()}/credentials"
    return f"Run `heraldctl agent-login`, or put a credential into {folder}/anthropic_api_key or claude_oauth_token."


def _duration(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 and seconds % 60 == 0 else f"{seconds:g} s"


def denials(finished: Finished) -> list[str]:
    """The tools that the agent was not allowed to use, each once."""
    denied = (each for result in finished.stream.results for each in as_list(result.get("permission_denials")))
    return list(dict.fromkeys(as_text(each.get("tool_name")) or "a tool" for each in denied))


def spent(finished: Finished) -> dict[str, Any]:
    """Cost, tokens and turns: of this run alone, also in a session that was resumed."""
    usage = dict.fromkeys(USED, 0)
    cost = 0.0
    models: dict[str, float] = {}
    for result in finished.stream.results:
        for model, used in models_of(result).items():
            for name, key in USED.items():
                usage[name] += int(as_number(used.get(key)))
            price = as_number(used.get("costUSD"))
            models[model] = models.get(model, 0.0) + price
            cost += price
    turns = sum(int(as_number(result.get("num_turns"))) for result in finished.stream.results)
    return {"cost_usd": round(cost, 6), "usage": {**usage, "models": models}, "turns": turns}
