"""Commits to ask a clone for, so that nothing which it has is handed over again."""

from herald.errors import Failed
from herald_worker import confined_git
from herald_worker.mirror import Mirror

_NEAR = 64
_MOST = 1_000_000


async def ancestors(mirror: Mirror, head: str) -> list[str]:
    """Commits of the first parents' line that the mirror has: the newest, then ever farther apart. Raises Failed."""
    arguments = (f"--git-dir={mirror.path}", "rev-list", "--first-parent", f"--max-count={_MOST}", head)
    outcome = await confined_git.run(*arguments, history=True)
    if outcome.code:
        raise Failed(f"the history of {head[:12]} cannot be read: {outcome.words.strip()[:500]}")
    line = outcome.out.decode().split()
    return line[:_NEAR] + [line[2**power] for power in range(6, 32) if 2**power < len(line)]
