"""`heraldctl fetch`: a card's commits in the clone of a person, and nothing else there that is new."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import repositories
from tests.support.herald import Herald, Site
from tests.support.processes import wait_for
from tests.support.repositories import git


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path) as made:
        herald = made.start()
        herald.say("create one.txt: 1")
        made.events.wait("proposal.open")
        herald.idle()
        yield made
        herald.finish(None)


def heraldctl(herald: Herald, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*herald.heraldctl, *arguments]
    environment = repositories.environment() | {"PATH": os.environ["PATH"]}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def tree_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, git's own too."""
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_fetch_brings_exactly_the_head_and_leaves_the_rest_of_the_clone(site: Site) -> None:
    card = site.herald.proposals()[0]
    repositories.commit(site.clone, {"own.txt": "mine\n"}, "Own", branch="topic")
    (site.clone / "own.txt").write_text("changed\n")
    (site.clone / "new.txt").write_text("untracked\n")
    before = tree_of(site.clone)
    done = heraldctl(site.herald, site.clone, "fetch", card["id"])

    assert (done.returncode, done.stdout) == (0, f"{card['branch']}\n"), done.stderr
    assert f"git diff {card['base'][:12]}...{card['branch']}" in done.stderr
    assert git(site.clone, "rev-parse", card["branch"]) == card["head"]
    assert git(site.clone, "show", f"{card['branch']}:one.txt") == "1"
    after = tree_of(site.clone)
    new = {name for name in after if name not in before}
    assert {name: data for name, data in after.items() if name not in new} == before
    assert {name for name in new if not name.startswith(".git/objects/")} == {
        f".git/refs/heads/{card['branch']}", f".git/logs/refs/heads/{card['branch']}"
    }  # fmt: skip


def test_fetch_into_another_folder_and_twice_is_the_same(site: Site) -> None:
    card = site.herald.proposals()[0]
    for _ in range(2):
        done = heraldctl(site.herald, site.folder, "fetch", card["id"], "--into", str(site.clone))
        assert (done.returncode, done.stdout) == (0, f"{card['branch']}\n"), done.stderr
    assert git(site.clone, "rev-parse", card["branch"]) == card["head"]


def test_what_an_agent_does_in_its_workspace_does_not_reach_who_fetches(site: Site) -> None:
    card = site.herald.proposals()[0]
    workspace = site.state / "agent" / "workspaces" / "sample"
    other = repositories.commit(workspace, {"evil.txt": "x\n"}, "After the card", branch=card["branch"])
    heraldctl(site.herald, site.clone, "fetch", card["id"])

    assert git(site.clone, "rev-parse", card["branch"]) == card["head"] != other


def test_a_branch_of_that_name_is_not_overwritten(site: Site) -> None:
    card = site.herald.proposals()[0]
    mine = repositories.commit(site.clone, {"own.txt": "mine\n"}, "Own", branch=card["branch"])
    git(site.clone, "checkout", "--quiet", "main")
    done = heraldctl(site.herald, site.clone, "fetch", card["id"])

    assert done.returncode == 5
    assert "has another branch of that name" in done.stderr
    assert git(site.clone, "rev-parse", card["branch"]) == mine


def test_where_there_is_no_clone_or_no_such_card_it_says_so(site: Site) -> None:
    card = site.herald.proposals()[0]
    elsewhere = heraldctl(site.herald, site.folder, "fetch", card["id"])
    unknown = heraldctl(site.herald, site.clone, "fetch", "99")

    assert (elsewhere.returncode, unknown.returncode) == (2, 2)
    assert "is not a git clone" in elsewhere.stderr
    assert "there is no proposal '99'" in unknown.stderr


def test_a_bundle_is_written_once_and_holds_the_card_after_the_push_too(site: Site) -> None:
    card = site.herald.proposals()[0]
    site.herald.vote()
    site.events.wait("proposal.pushed")
    file = site.folder / "card.bundle"
    done = heraldctl(site.herald, site.folder, "fetch", card["id"], "--bundle", str(file))
    again = heraldctl(site.herald, site.folder, "fetch", card["id"], "--bundle", str(file))

    assert done.returncode == 0, done.stderr
    assert again.returncode == 5
    assert git(site.clone, "bundle", "list-heads", str(file)) == f"{card['head']} refs/heads/{card['branch']}"
    git(site.clone, "bundle", "verify", "--quiet", str(file))


def test_try_mode_names_the_command_that_brings_a_card(site: Site) -> None:
    card = site.herald.proposals()[0]
    words = "as a branch of your clone: "
    wait_for(lambda: words in site.herald.stderr, "the line to paste")
    (hint,) = [line for line in site.herald.stderr.splitlines() if words in line]
    command = hint.partition("clone: ")[2]
    done = subprocess.run(["sh", "-c", command], env=repositories.environment(), capture_output=True, text=True)

    assert done.stdout == f"{card['branch']}\n", done.stderr
    assert git(site.clone, "rev-parse", card["branch"]) == card["head"]


def test_reset_on_the_command_line_lists_first_and_resets_with_yes(site: Site) -> None:
    card = site.herald.proposals()[0]
    listed = heraldctl(site.herald, site.folder, "reset")
    assert listed.returncode == 0, listed.stderr
    assert f"• {card['branch']} at {card['head'][:12]}, 1 commit, open card {card['id']}" in listed.stdout
    assert "`heraldctl reset sample --yes` resets it" in listed.stderr
    assert not list(site.events.of("workspace.reset"))
    done = heraldctl(site.herald, site.folder, "reset", "sample", "--yes")

    assert done.stdout.startswith("The workspace of sample is reset"), done.stderr
    (line,) = [each for each in done.stdout.splitlines() if each.startswith(f"• {card['branch']} at")]
    ref = line.rpartition(": ")[2]
    assert ref.startswith("refs/kept/")
    assert heraldctl(site.herald, site.clone, "fetch", ref).stdout == f"{card['branch']}\n"
    assert git(site.clone, "rev-parse", card["branch"]) == card["head"]
    assert "nothing is kept as" in heraldctl(site.herald, site.clone, "fetch", "refs/kept/none/x").stderr
    assert heraldctl(site.herald, site.folder, "reset", "--project", "nowhere").returncode == 2
    assert "own clone: `!reset`" in heraldctl(site.herald, site.folder, "stash").stderr.replace(
        "Herald's own", "own clone"
    )
    assert "already works in a clone of its own" in heraldctl(site.herald, site.folder, "own").stdout
