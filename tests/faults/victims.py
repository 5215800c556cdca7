"""Who is killed, and how Herald is brought back after it."""

from tests.support.herald import Herald, Site

WITH_EVERYTHING = ("command", "inetd", "everything")
"""Victims that take all of Herald along; `everything` is every process at once, as in a power cut."""


def strike(site: Site, victim: str) -> Herald:
    """kill -9 of a part, and Herald started again over the same state if that was the end of it."""
    herald = site.herald
    herald.kill(victim)
    return revive(site, victim)


def revive(site: Site, victim: str) -> Herald:
    """Herald after the victim was killed: the service manager's matter, or a new start."""
    if victim not in WITH_EVERYTHING:
        return site.herald
    code = site.herald.wait_until_gone()
    assert code == (1 if victim == "inetd" else -9), site.herald.stderr
    return site.start()


def check_each_once(site: Site, tasks: list[str]) -> None:
    """Every task ended well, exactly once, in the order in which they were handed in, and was answered once."""
    site.herald.idle()
    for task in tasks:
        kinds = site.events.kinds(task)
        assert kinds.count("task.done") == 1, (task, kinds)
        assert not {"task.failed", "task.parked", "task.cancelled", "task.blocked"} & set(kinds), (task, kinds)
    done = [event["task"] for event in site.events.of("task.done")]
    assert done == sorted(done, key=int), done
    said = [post for post in site.herald.posts() if post["kind"] == "answer"]
    assert len(said) == len({post["answers"] for post in said}) == len(tasks), said
