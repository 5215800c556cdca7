"""What a git remote may look like: ssh, https, or an absolute path. Everything else git could be made to run.

Where a push URL is expected people also write words such as DISABLED or no_push, so that nothing is ever pushed.
"""

import os
import re
from urllib.parse import unquote, urlsplit

_SCP = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\]):(?!:)[^\s-]\S*")
_HELPER = re.compile(r"[A-Za-z0-9]+::")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*|[0-9A-Fa-f:]+")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~%+-]*")
_LONGEST = 2000
_NO = re.compile(
    r"(?:push[-_ ]?)?disabled?|(?:no|(?:do[-_ ]?not|dont|never)[-_ ]?)[-_ ]?push(?:ing)?|read[-_ ]?only|"
    r"no|none|null|never|nowhere|forbidden|invalid|dev/null",
    re.IGNORECASE,
)
_AROUND = re.compile(r"^(?:[A-Za-z_-]+://)?(?:[^/@:]*@)?[./]*|[/:]*$")
"""What may stand around such a word: a scheme, a user, dots and slashes."""

NONE = "none"
"""As the value of `git.push_url`: nothing is pushed."""


def check(text: str) -> str:
    """The remote in the form in which it is kept. Raises ValueError with what is wrong and the next step."""
    if len(text) > _LONGEST or any(ord(each) < 0x20 or ord(each) == 0x7F for each in text):
        raise ValueError("holds a control character or is far too long")
    if text.startswith("-"):
        raise ValueError("begins with '-', which git would take for an option")
    if _HELPER.match(text):
        raise ValueError("names a transport helper; use ssh://, https://, git@HOST:PATH or an absolute path")
    if text.startswith("/"):
        return os.path.normpath(text)
    if "://" in text:
        return _url(text)
    if _SCP.fullmatch(text):
        return text
    raise ValueError("is no ssh:// or https:// URL, no git@HOST:PATH and no absolute path")


def says_no(text: str) -> bool:
    """Whether this stands in the place of a push URL to keep everything from being pushed."""
    return _NO.fullmatch(_AROUND.sub("", text)) is not None


def check_push(text: str) -> str:
    """The same as `check`; words that forbid to push are `none`."""
    return NONE if says_no(text) else check(text)


def check_large_file_server(text: str) -> str:
    """The server of large files in the form in which it is kept. Raises ValueError."""
    if re.fullmatch(r"http://(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?(?:/[^\s@]*)?", text):
        return text
    return check(text)


def is_relative(text: str) -> bool:
    """Whether git would take it for a path that starts where the clone is."""
    head = text.partition("/")[0]
    return not text.startswith(("/", "-")) and ":" not in head


def without_password(text: str) -> str:
    """For showing: user and password are left out."""
    return re.sub(r"//[^/]*@", "//", text)


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise ValueError("is no proper URL") from error
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return check(unquote(parts.path))
    if parts.scheme not in ("ssh", "https"):
        raise ValueError(f"{parts.scheme}:// is not used; write ssh://, https://, git@HOST:PATH or an absolute path")
    if parts.password is not None:
        raise ValueError(
            "holds a password, which everyone who reads the snapshot would see; use the git@HOST:PATH form"
        )
    if not _HOST.fullmatch(parts.hostname or "") or (
        parts.username is not None and not _USER.fullmatch(parts.username)
    ):
        raise ValueError("names no proper host or user")
    if len(parts.path) < 2 or any(each.isspace() for each in text):
        raise ValueError("names no repository, or holds a blank")
    return text
