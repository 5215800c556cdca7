"""The worker's mirror was set aside while a card is open: what to do is said, and it works."""

import os
from pathlib import Path

from tests.support.herald import Site


def test_a_task_says_how_the_commits_of_the_open_card_come_back_and_they_do(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        assert herald.ended(herald.enqueue("create one.txt: 1")) == "done"
        herald.idle()
        herald.finish(None)
        mirror = site.state / "worker" / "mirrors" / "sample.git"
        os.rename(mirror, f"{mirror}.damaged-20260131-091200")
        herald = site.start()
        (card,) = herald.proposals()

        assert herald.ended(herald.enqueue("create two.txt: 2")) == "failed"
        herald.idle()
        said = (
            f"Herald's mirror lost the commits of the open card {card['id']}, {card['branch']}: `!push` takes them out"
        )
        assert said in herald.posts()[-1]["text"]

        herald.call("worker", "Propose", key="push", project="sample")
        assert [each["state"] for each in herald.proposals()] == ["open"]
        assert herald.ended(herald.enqueue("create two.txt: 2")) == "done"
        herald.vote()
        herald.idle()
        assert site.files(card["branch"]) == ["README.md", "one.txt", "two.txt"]
        herald.finish(None)
