"""How histories hang together: commits to ask a clone for, and whether two meet at all."""

from herald.errors import Failed
from herald_worker import confined_git
from herald_worker.mirror import Mirror

_NEAR = 64
_MOST = 300_000
"""Their list must stay below what is read of git at once."""


async def ancestors(mirror: Mirror, head: str) -> list[str]:
    """Commits of the first parents' line that the mirror has: the newest, then ever farther apart. Raises Failed."""
    arguments = (f"--git-dir={mirror.path}", "rev-list", "--first-parent", f"--max-count={_MOST}", head)
    outcome = await confined_git.run(*arguments, history=True)
    if outcome.code:
        raise Failed(f"the history of {head[:12]} cannot be read: {outcome.words.strip()[:500]}")
    line = outcome.out.decode().split()
    return line[:_NEAR] + [line[2**power] for power in range(6, 32) if 2**power < len(line)]


async def meet(mirror: Mirror, one: str, other: str) -> bool:
    """Whether two commits have one in common before them. Raises Failed."""
    outcome = await confined_git.run(f"--git-dir={mirror.path}", "merge-base", one, other, history=True)
    if outcome.code not in (0, 1) or outcome.words.strip():
        raise Failed(f"the history of {one[:12]} cannot be read: {outcome.words.strip()[:500]}")
    return outcome.code == 0
