"""A repository together with objects that are not part of it yet."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from herald_worker.confined_git import Outcome


class Beside(NamedTuple):
    """A mirror together with a pack that it may take in. `demand` raises for a git that failed."""

    git: Callable[..., Awaitable[Outcome]]
    demand: Callable[[Outcome], Awaitable[None]]
    demand_complete: Callable[[str], Awaitable[None]]
    accept: Callable[[], Awaitable[None]]
