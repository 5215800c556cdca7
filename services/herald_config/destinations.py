"""Where git would fetch a clone's work from and push it to, by the rules and the precedence of git itself."""

from typing import NamedTuple

from herald_config.git_config import Entries

ORIGIN = "origin"


class NoRemote(Exception):
    """It cannot be told what to fetch from; the text says why."""


class Heads(NamedTuple):
    """Branches of the clone: the one that is checked out, and the default branch of each remote, as far as known."""

    checked_out: str
    defaults: dict[str, str]


class _Remote:
    """One remote. Addresses are as written."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.push_urls: list[str] = []


class Settings:
    """What the entries say about remotes."""

    def __init__(self, entries: Entries) -> None:
        self.remotes: dict[str, _Remote] = {}
        self._values: dict[str, str] = {}
        self._rewrites: dict[str, dict[str, list[str]]] = {"insteadof": {}, "pushinsteadof": {}}
        self.includes: list[str] = []
        """Files that the entries include, as written."""
        for name, value in entries:
            self._take(name, value)

    def _take(self, name: str, value: str) -> None:
        section, _, rest = name.partition(".")
        middle, dot, key = rest.rpartition(".")
        if section == "url" and key in self._rewrites:
            self._rewrites[key].setdefault(middle, []).append(value)
        elif section == "remote" and dot and key in ("url", "pushurl"):
            remote = self.remotes.setdefault(middle, _Remote())
            listed = remote.urls if key == "url" else remote.push_urls
            if value:
                listed.append(value)
            else:
                listed.clear()  # as git takes an empty value from 2.46 on
        elif name == "include.path" or (section == "includeif" and key == "path"):
            self.includes.append(value)
        else:
            self._values[name] = value

    def fetch_remote(self, heads: Heads) -> str:
        """The name of the remote that the clone is of. Raises NoRemote."""
        found = [name for name, remote in self.remotes.items() if remote.urls]
        if ORIGIN in found:
            return ORIGIN
        if len(found) == 1:
            return found[0]
        if not found:
            raise NoRemote(f"has no remote named {ORIGIN}")
        for branch in self._default_branches(heads):
            tracked = self._values.get(f"branch.{branch}.remote", "")
            if tracked in found:
                return tracked
        named = ", ".join(sorted(found)[:5])
        raise NoRemote(f"has no remote named {ORIGIN}, and its default branch tracks none of the others ({named})")

    def fetch_url(self, remote: str) -> str:
        """The first URL, which is the one that git fetches from."""
        return self._rewritten(self.remotes[remote].urls[0], "insteadof")

    def push_urls(self, heads: Heads, fetch_remote: str) -> list[str]:
        """Every URL that a push goes to; `fetch_remote` is empty if there is none."""
        name = self._push_remote(heads, fetch_remote) or fetch_remote
        if not name:
            return []
        remote = self.remotes.get(name)
        if remote is None or not (remote.urls or remote.push_urls):
            remote = _Remote()
            remote.urls.append(name)  # git takes what is no remote's name for a URL
        if remote.push_urls:
            return [self._rewritten(each, "insteadof") for each in remote.push_urls]
        for_pushes = [self._rewritten(each, "pushinsteadof") for each in remote.urls]
        changed = [new for new, old in zip(for_pushes, remote.urls, strict=True) if new != old]
        return changed or [self._rewritten(each, "insteadof") for each in remote.urls]

    def _push_remote(self, heads: Heads, fetch_remote: str) -> str:
        for branch in (heads.checked_out, *self._default_branches(heads, fetch_remote)):
            named = self._values.get(f"branch.{branch}.pushremote", "")
            if named:
                return named
        return self._values.get("remote.pushdefault", "")

    def _default_branches(self, heads: Heads, remote: str = ORIGIN) -> list[str]:
        """What may be the default branch, the likeliest first."""
        known = [heads.defaults[name] for name in (remote, *heads.defaults) if name in heads.defaults]
        return [each for each in dict.fromkeys(known or ("main", "master", heads.checked_out)) if each]

    def _rewritten(self, url: str, key: str) -> str:
        """The URL with the longest matching prefix replaced; of two that are as long, the first."""
        best: tuple[str, str] | None = None
        for base, prefixes in self._rewrites[key].items():
            for prefix in prefixes:
                if url.startswith(prefix) and (best is None or len(prefix) > len(best[0])):
                    best = prefix, base
        return url if best is None else best[1] + url[len(best[0]) :]
