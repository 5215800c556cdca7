"""`.gitmodules` of a commit, read as data."""

from typing import NamedTuple

from herald_git.repository import Repository

_SECONDS = 60.0
_LARGEST = 1 << 20


class Gitmodules(NamedTuple):
    """Paths and addresses by name."""

    paths: dict[str, str]
    urls: dict[str, str]

    @property
    def addresses(self) -> list[str]:
        """All addresses that it names."""
        return list(self.urls.values())


def read(own: Repository, commit: str) -> Gitmodules:
    """What a commit says; nothing when it has no such file, or one that is too large or that git cannot read."""
    blob = f"{commit}:.gitmodules"
    size = own.git("cat-file", "-s", blob, seconds=_SECONDS)
    if size.code or int(size.out) > _LARGEST:
        return Gitmodules({}, {})
    outcome = own.git("config", "--blob", blob, "--no-includes", "--null", "--list", seconds=_SECONDS)
    if outcome.code:
        return Gitmodules({}, {})
    paths: dict[str, str] = {}
    urls: dict[str, str] = {}
    for entry in outcome.out.decode("utf-8", "surrogateescape").split("\0"):
        key, _, value = entry.partition("\n")
        section, _, rest = key.partition(".")
        name, _, field = rest.rpartition(".")
        if section == "submodule" and name:
            {"path": paths, "url": urls}.get(field, {})[name] = value
    return Gitmodules(paths, urls)
