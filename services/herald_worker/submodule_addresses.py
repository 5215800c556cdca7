"""Which addresses of submodules commits change, for the card: with them it is decided what is fetched later."""

from herald_worker import confined_git
from herald_worker.commit_summary import plain
from herald_worker.mirror import Mirror
from herald_worker.submodules import named as addresses_of

_DEFAULT = "refs/base/default"
_MOST_NAMED = 3


async def changed(project: str, head: str) -> str:
    """A mark for the card: the addresses that `.gitmodules` has since the default branch; empty if none is new."""
    since = await _git(project, "merge-base", _DEFAULT, head)
    fork = since.out.decode().strip()
    asked = await _git(project, "diff-tree", "--quiet", fork, head, "--", ".gitmodules")
    if since.code or asked.code == 0:
        return ""
    before, after = await addresses_of(project, fork, "url"), await addresses_of(project, head, "url")
    named = [f"{plain(name)} ({plain(url)})" for name, url in after.items() if before.get(name) != url]
    if not named:
        return ""
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return f"changes where submodules come from: {', '.join(named[:_MOST_NAMED])}{more}"


async def _git(project: str, *arguments: str) -> confined_git.Outcome:
    return await confined_git.run(f"--git-dir={Mirror(project).path}", *arguments)
