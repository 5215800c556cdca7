"""What a card points at before anybody votes."""

from pathlib import Path

from tests.support.herald import Site
from tests.support.repositories import git


def test_a_card_says_which_addresses_of_submodules_it_changes(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        file = site.clone / ".gitmodules"
        for name in ("lib", "same"):
            git(site.clone, "config", "--file", str(file), f"submodule.{name}.path", name)
            git(site.clone, "config", "--file", str(file), f"submodule.{name}.url", f"../{name}.git")
        git(site.clone, "add", ".gitmodules")
        git(site.clone, "commit", "--quiet", "-m", "Submodules")
        git(site.clone, "push", "--quiet", "origin", "main")
        site.configure(git={"submodules": {"init": "none"}})
        herald = site.start()

        config = "git config -f .gitmodules submodule"
        assert herald.ended(herald.enqueue(f"shell {config}.same.branch next")) == "done"
        assert herald.ended(herald.enqueue(f"shell {config}.lib.url ../private.git")) == "done"
        herald.idle()

        first, second = (post["text"] for post in herald.posts() if post["kind"] == "card" and post["revision"] == 0)
        assert "where submodules come from" not in first
        assert "⚠️ changes where submodules come from: lib (../private.git)" in second.splitlines()
        herald.vote("reject")
        herald.idle()
        herald.finish()
