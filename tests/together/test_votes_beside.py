"""Votes of one project do not wait for the pushes of another one."""

import json
import uuid
from pathlib import Path

from tests.support import repositories
from tests.support.herald import Herald, Site
from tests.support.processes import wait_for
from tests.support.repositories import Remote


def other_project(site: Site) -> Remote:
    """A second project of the same Herald."""
    folder = site.folder / "second"
    folder.mkdir()
    remote = repositories.remote_with_commit(folder)
    clone = repositories.clone(remote, folder / "other")
    given = {"name": "other", "path": str(clone.resolve()), "workspace": "own"}
    file = site.state / "etc" / "projects" / "other.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in given.items()))
    return remote


def approve(herald: Herald, project: str) -> None:
    herald.call("worker", "Vote", key=uuid.uuid4().hex, vote="approve", project=project)


def card(herald: Herald, project: str) -> str:
    assert herald.ended(herald.enqueue("create one.txt: 1", project=project)) == "done"
    return str(herald.proposals()[0]["head"])


def test_a_push_that_takes_long_holds_up_no_other_project(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.configure()
        other = other_project(site)
        herald = site.start()
        card(herald, "sample")
        head = card(herald, "other")
        reached, go = site.remote.hold("pre-receive")
        approve(herald, "sample")
        wait_for(reached.exists, "the first push is at the remote")

        approve(herald, "other")
        site.events.wait("proposal.pushed")

        assert head in other.heads().values()
        assert sorted(each["state"] for each in herald.proposals()) == ["pushed", "pushing"]
        go.touch()
        herald.idle()
        assert [each["state"] for each in herald.proposals()] == ["pushed"] * 2
        herald.finish()
