"""The kinds of text that the configuration knows. Each says what is wrong and what to write in its place."""

import difflib
import os
import re
import shlex
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from herald import fsck
from herald_config import cron, remote_url

_UNITS = {"h": 3600, "m": 60, "s": 1}
_DURATION = r"(?:[0-9]{1,5}h)?(?:[0-9]{1,6}m)?(?:[0-9]{1,7}s)?"
_REF_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(?:^|/)\.|\.lock(?:/|$)|\.$|^[-/]|/$")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line ends and lone surrogates, which YAML's escapes can write."""
_PREFIX_LENGTH = 100
_SHELLS = {"sh", "ash", "bash", "csh", "dash", "fish", "ksh", "tcsh", "zsh"}
_WEBHOOK = r"https?://[^\s/@?#]+(?:/[^\s?#]*)?/webhooks/[0-9]{1,20}/[A-Za-z0-9._-]{8,200}"
_API_FORM = "http://127.0.0.1:3201/api/v10, with the version at its end"
_WEBHOOK_FORM = "https://discord.com/api/webhooks/ID/TOKEN"
_AGENT_NAME_LENGTH = 80
"""Discord's limit for the name of a webhook."""


class Checked:
    """Marks a text that a function checks and normalises; `pattern` is what editors can check of it."""

    def __init__(self, check: Callable[[str], str], pattern: str = "") -> None:
        self._check = check
        self._pattern = pattern

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        found = handler(schema)
        return {**found, "pattern": f"^{self._pattern}$"} if self._pattern else found


class OneWord:
    """Marks a list for which one word may stand, as a list of that word."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_as_list, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"enum": ["all", "none"]}, handler(schema)]}


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _matching(pattern: str, must: str) -> Checked:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"{must}, is {text[:60]!r}")
        return text

    return Checked(check, pattern)


def seconds(duration: str) -> float:
    """The length of a checked duration: 5400.0 for `1h30m`."""
    return float(sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([hms])", duration)))


def _duration(text: str) -> str:
    if not text or not re.fullmatch(_DURATION, text):
        raise ValueError(f"must be a time with its unit, such as 45s, 30m, 2h or 1h30m, is {text[:60]!r}")
    return text


def _time_limit(text: str) -> str:
    if not 1 <= seconds(_duration(text)) <= 24 * 3600:
        raise ValueError(f"must be between 1s and 24h, is {text}")
    return text


def _absolute_path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"must be an absolute path, is {text[:200]!r}; write it from / on, without ~")
    if _UNSEEN.search(text) or ".." in text.split("/"):
        raise ValueError("must hold neither `..` nor control characters")
    path = os.path.normpath("/" + text.lstrip("/"))
    if path == "/":
        raise ValueError("must not be / itself")
    return path


def _compose_path(text: str) -> str:
    if text.startswith("/"):
        return _absolute_path(text)
    path = os.path.normpath(_path_in_project(text))
    if path == "." or text.startswith(("~", "-")) or "://" in text:
        raise ValueError(
            f"must be a file: an absolute path of your own, or a path inside the project, is {text[:200]!r};"
            " write it like compose.yaml, without ~ and without '-' in front"
        )
    return path


def _compose_command(text: str) -> str:
    """Split as a shell would split it, and never handed to one."""
    _one_line(text)
    try:
        words = shlex.split(text)
        loose = shlex.shlex(text, posix=True, punctuation_chars=True)
        loose.commenters, loose.whitespace_split = "", True
        operators = [word for word in loose if word and set(word) <= set(loose.punctuation_chars)]
    except ValueError as error:
        raise ValueError(f"cannot be split into words ({str(error).lower()}); close the quote") from error
    if not words or not words[0]:
        raise ValueError("names no program; write it like: docker compose")
    if operators:
        raise ValueError(f"is run without a shell, so {operators[0]!r} means nothing; write one program and its words")
    if "=" in words[0]:
        raise ValueError(f"is run without a shell; write `env {words[0]}` in front of the program")
    if os.path.basename(words[0]) in _SHELLS:
        raise ValueError(f"must not be the shell {words[0]!r}; write the compose program itself: docker compose")
    return text.strip()


def _path_in_project(text: str) -> str:
    if not text or text.startswith("/") or ".." in text.split("/") or _UNSEEN.search(text):
        raise ValueError(f"must be a path inside the project, without / in front and without `..`, is {text[:200]!r}")
    return text


def _timezone(text: str) -> str:
    import zoneinfo  # here because few set it

    if text == "UTC":
        return text
    try:
        zoneinfo.ZoneInfo(text)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError) as error:
        known = zoneinfo.available_timezones()
        if not known:
            raise ValueError("no time zones are installed here; install the package tzdata, or use UTC") from error
        near = difflib.get_close_matches(text, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else "write it like Europe/Berlin"
        raise ValueError(f"{text[:60]!r} is no time zone; {hint}") from error
    return text


def _branch_prefix(text: str) -> str:
    if not text or len(text) > _PREFIX_LENGTH or _REF_FORBIDDEN.search(text) or _UNSEEN.search(text):
        raise ValueError(
            f"{text[:60]!r} cannot begin the name of a git branch; use letters, digits, '-' and inner '/': agent/NAME"
        )
    return text


def _agent_name(text: str) -> str:
    for word in ("discord", "clyde"):
        if word in text.lower():
            raise ValueError(f"must not contain {word!r}: Discord refuses such names")
    return _one_line(text, _AGENT_NAME_LENGTH)


def _one_line(text: str, longest: int = 200) -> str:
    if not text.strip() or len(text) > longest or _UNSEEN.search(text):
        raise ValueError(f"must be one line of 1 to {longest} characters")
    return text.strip()


def _webhook(text: str) -> str:
    # not repeated in the message: the address of a webhook is a secret
    if not re.fullmatch(_WEBHOOK, text):
        raise ValueError(f"must be the address that Discord's Copy Webhook URL gives: {_WEBHOOK_FORM}")
    return text


def _address(schemes: str, form: str, ending: str = "") -> Callable[[str], str]:
    """An address of a server, without query, and its slash at the end taken off."""

    def check(text: str) -> str:
        address = text.rstrip("/")
        try:
            parts = urlsplit(address)
            known = parts.hostname and (parts.port is None or parts.port > 0)
        except ValueError as error:
            raise ValueError(f"is no proper address; write it like {form}") from error
        if not known or parts.username is not None or not re.fullmatch(rf"(?:{schemes})://[^\s?#]+{ending}", address):
            raise ValueError(f"must be an address like {form}, is {text[:200]!r}")
        return address

    return check


def _web_address(text: str) -> str:
    try:
        known = urlsplit(text).hostname
    except ValueError:
        known = None
    if not known or not re.fullmatch(r"https?://\S+", text) or _UNSEEN.search(text):
        raise ValueError(f"must be an address that begins with https://, is {text[:200]!r}")
    return text


ProjectName = Annotated[
    str, _matching(r"[a-z0-9][a-z0-9-]{0,39}", "must be 1 to 40 of a-z, 0-9 and '-' and begin with a letter or digit")
]
Identifier = Annotated[
    str, _matching(r"[0-9]{1,20}", "must be the number that Discord's Copy ID gives (digits alone, kept as text)")
]
UnixUser = Annotated[str, _matching(r"[^\s:/,]{1,64}", "must be the name of a Unix user")]
OneLine = Annotated[str, Checked(_one_line)]
Duration = Annotated[str, Checked(_duration, r"(?=.)" + _DURATION)]
TimeLimit = Annotated[str, Checked(_time_limit, r"(?=.)" + _DURATION)]
AbsolutePath = Annotated[str, Checked(_absolute_path, r"/.*")]
PathInProject = Annotated[str, Checked(_path_in_project, r"[^/].*")]
Timezone = Annotated[str, Checked(_timezone)]
CronLine = Annotated[str, Checked(cron.check)]
BranchPrefix = Annotated[str, Checked(_branch_prefix)]
AgentName = Annotated[str, Checked(_agent_name)]
WebAddress = Annotated[str, Checked(_web_address, r"https?://.*")]
WebhookAddress = Annotated[str, Checked(_webhook, _WEBHOOK)]
ApiAddress = Annotated[str, Checked(_address("https?", _API_FORM, r"/v[0-9]+"), r"https?://.+/v[0-9]+/?")]
GatewayAddress = Annotated[str, Checked(_address("wss?", "ws://127.0.0.1:3201"), r"wss?://.+")]
ComposePath = Annotated[str, Checked(_compose_path)]
ComposeCommand = Annotated[str, Checked(_compose_command)]
Remote = Annotated[str, Checked(remote_url.check)]
LargeFileServer = Annotated[str, Checked(remote_url.check_large_file_server)]
PushAddress = Annotated[str, Checked(remote_url.check_push)]
FsckId = Annotated[str, Checked(fsck.check, r"[A-Za-z0-9]{1,60}")]
Selection = Annotated[tuple[PathInProject, ...], OneWord()]
"""`all`, `none`, or a list of paths."""
