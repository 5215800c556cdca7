"""What people are shown of commits before they vote, from git's own output; every text cleaned."""

import unicodedata
from typing import NamedTuple

_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
"""Categories of Unicode that are not seen or change how other text is seen: control, bidi, zero width."""

_LONGEST_LINE = 200
_MOST_NAMED = 3
_SUBMODULE, _SYMLINK = "160000", "120000"
_CI_FOLDERS = (".github/", ".gitlab/", ".ci/", ".circleci/", ".buildkite/", ".gitea/", ".forgejo/", ".woodpecker/")
_CI_FILES = (
    ".gitlab-ci.yml",
    ".travis.yml",
    ".drone.yml",
    ".woodpecker.yml",
    ".cirrus.yml",
    "azure-pipelines.yml",
    "bitbucket-pipelines.yml",
    "Jenkinsfile",
)
_LARGE_FILES = ".lfsconfig"
_AGENT_SETTINGS = (".claude/", ".mcp.json")


class Summary(NamedTuple):
    """Commits beyond the remote's default branch. `flags` are warnings for the card, a few words each."""

    commits: int
    subjects: tuple[str, ...]
    """first lines, newest first, at most 20"""
    files: int
    insertions: int
    deletions: int
    flags: tuple[str, ...]
    trailer_tests: str
    """the `Tests:` trailer of the last commit, empty if it has none"""


class Difference(NamedTuple):
    """Numbers of a diff, and its flags."""

    files: int
    insertions: int
    deletions: int
    flags: tuple[str, ...]


def plain(text: str) -> str:
    """The text as one line without anything hidden, and short enough for a card."""
    seen = "".join(" " if each.isspace() else each for each in text)
    shown = "".join(each for each in seen if unicodedata.category(each) not in _HIDDEN).strip()
    return shown if len(shown) <= _LONGEST_LINE else shown[: _LONGEST_LINE - 1] + "…"


def difference(output: bytes, without_line_ends: bytes, remarks: list[str]) -> Difference:
    """Read the output of `git diff-tree -r -z --raw --numstat`: all raw entries, then all numbers.

    `without_line_ends` has the numbers of a diff that passes over carriage returns at the ends of lines, `remarks` are
    what git's check mentioned about the objects.
    """
    fields = output.decode(errors="replace").split("\0")
    files = insertions = deletions = 0
    workflows: list[str] = []
    settings: list[str] = []
    servers: list[str] = []
    submodules: list[str] = []
    symlinks: list[str] = []
    position = 0
    while position < len(fields) and fields[position].startswith(":"):
        mode, path = fields[position].split(" ")[1], fields[position + 1]
        if path.startswith(_CI_FOLDERS) or path in _CI_FILES:
            workflows.append(path)
        if path.startswith(_AGENT_SETTINGS):
            settings.append(path)
        if path == _LARGE_FILES:
            servers.append(path)
        if mode == _SUBMODULE:
            submodules.append(path)
        if mode == _SYMLINK:
            symlinks.append(path)
        position += 2
    with_words = {entry.rpartition("\t")[2] for entry in without_line_ends.decode(errors="replace").split("\0")}
    line_ends: list[str] = []
    for entry in fields[position:]:
        if entry:
            added, removed, path = entry.split("\t", 2)
            files += 1
            line_ends += [path] if added == removed not in ("0", "-") and path not in with_words else []
            insertions += int(added) if added != "-" else 0  # a dash: not text
            deletions += int(removed) if removed != "-" else 0
    flags = (
        _flag("changes CI", workflows),
        _flag("changes settings of agents", settings),
        _flag("changes where git-lfs keeps large files", servers),
        _flag("submodule", submodules),
        _flag("symbolic link", symlinks),
        _flag("only line endings change", line_ends),
        _flag("git's check mentions", list(dict.fromkeys(remarks))),
    )
    return Difference(files, insertions, deletions, tuple(flag for flag in flags if flag))


def _flag(words: str, paths: list[str]) -> str:
    if not paths:
        return ""
    named = ", ".join(plain(path) for path in paths[:_MOST_NAMED])
    more = f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else ""
    return f"{words}: {named}{more}"
