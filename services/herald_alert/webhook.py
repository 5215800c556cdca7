"""A crash of the gateway itself, posted by a webhook of the system channel: nobody else could until it is back."""

import json
import os
import stat
import urllib.parse
from typing import TYPE_CHECKING

from herald import journal, names
from herald.errors import Failed

if TYPE_CHECKING:
    from http.client import HTTPConnection

_DEADLINE = 4.0
_LARGEST = 2048
_LONGEST = 1990
"""Characters of a message; Discord takes 2,000."""
_FENCE = "```"


def posts_for(unit: str) -> bool:
    """Whether the one who would post the crash of this unit is the one that crashed."""
    return unit == f"herald-{names.GATEWAY}.service"


def post(text: str, lines: list[str]) -> bool:
    """Post it; false when there is no webhook or Discord did not take it: then the gateway posts it once it is back."""
    try:
        url = _url()
        if url is None:
            return False
        _send(url, _content(text, lines))
    except (OSError, ValueError, Failed) as error:
        journal.warning(f"this alert cannot be posted by webhook, the gateway posts it when it is back: {error}")
        return False
    return True


def _url() -> urllib.parse.SplitResult | None:
    """What the gateway left. Its folder is the gateway's own: a link, a pipe or a long file is none. Raises OSError."""
    try:
        handle = os.open(names.alert_webhook_path(), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with open(handle, encoding="ascii") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError(f"{names.alert_webhook_path()} is no regular file")
        url = urllib.parse.urlsplit(file.read(_LARGEST).strip())
    if url.scheme not in ("https", "http") or not url.hostname:
        raise ValueError(f"{names.alert_webhook_path()} holds no web address")
    return url


def _content(text: str, lines: list[str]) -> str:
    """The alert as one message; the block of lines cannot be ended from inside."""
    block = "\n".join(lines).replace(_FENCE, "``\u02cb")
    room = _LONGEST - len(text) - 2 * len(_FENCE) - 3
    return f"{text[:_LONGEST]}\n{_FENCE}\n{block[-room:]}\n{_FENCE}" if block and room > 0 else text[:_LONGEST]


def _send(url: urllib.parse.SplitResult, content: str) -> None:
    """One request. Raises OSError, ValueError, Failed; its text never holds the address, which is a secret."""
    from http.client import HTTPException  # for this one case

    connection = _connection(url)
    try:
        body = json.dumps({"content": content, "allowed_mentions": {"parse": []}})
        headers = {"Content-Type": "application/json", "User-Agent": "DiscordBot (herald, 1)"}
        connection.request("POST", f"{url.path}?wait=true", body, headers)
        status = connection.getresponse().status
    except HTTPException as error:
        raise Failed(f"the answer is none: {type(error).__name__}") from None
    finally:
        connection.close()
    if status not in (200, 204):
        raise Failed(f"HTTP status {status}")


def _connection(url: urllib.parse.SplitResult) -> "HTTPConnection":
    from http.client import HTTPConnection, HTTPSConnection

    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    return kind(url.hostname or "", url.port, timeout=_DEADLINE)
