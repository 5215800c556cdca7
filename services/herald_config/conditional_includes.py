"""Files that a person's git configuration includes for repositories in some folders alone: `includeIf "gitdir:..."`.

git itself decides that by where a repository is, and would have to be run in the clone. So the patterns are compared
here, and git is asked for the files that they lead to.
"""

import os
import re

_CONDITION = re.compile(r"includeif\.gitdir(/i)?:(.*)\.path", re.DOTALL)
_TOKEN = re.compile(
    r"(?P<any>(?<![^/])\*\*/)|(?P<rest>(?<![^/])\*\*$)|(?P<star>\*+)|(?P<one>\?)|(?P<set>\[[^]/]+\])|.", re.DOTALL
)


def leads_to(name: str, value: str, written_in: str, git_folder: str) -> str:
    """The path of the file that this entry, written in that file, includes for this repository; empty: none."""
    condition = _CONDITION.fullmatch(name)
    if condition is None or not value:
        return ""
    base = os.path.dirname(os.path.realpath(written_in))
    pattern = _expression(condition[2], base)
    flags = re.DOTALL | (re.IGNORECASE if condition[1] else 0)
    if not any(
        re.fullmatch(pattern, text, flags) for text in (os.path.realpath(git_folder), os.path.normpath(git_folder))
    ):
        return ""
    return os.path.join(base, os.path.expanduser(value))


def _expression(pattern: str, base: str) -> str:
    """As git completes such a pattern and compares it: `**` between slashes for any folders, `*` within one."""
    if pattern.startswith("~/"):
        pattern = os.path.realpath(os.path.expanduser("~")) + pattern[1:]
    elif pattern.startswith("./"):
        pattern = base + pattern[1:]
    if not pattern.startswith("/"):
        pattern = f"**/{pattern}"
    if pattern.endswith("/"):
        pattern += "**"
    parts = []
    for token in _TOKEN.finditer(pattern):
        kinds = {"any": "(?:.*/)?", "rest": ".*", "star": "[^/]*", "one": "[^/]"}
        found = token[0]
        if token.lastgroup in kinds:
            parts.append(kinds[token.lastgroup])
        elif token.lastgroup == "set":
            inner = found[1:-1].replace("\\", "\\\\").replace("[", "\\[")
            parts.append(f"[{'^' + inner[1:] if inner[0] in '!^' else inner}]")
        else:
            parts.append(re.escape(found))
    return "".join(parts)
