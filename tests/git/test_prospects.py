"""Two URLs, and what a push would meet: known at the fetch, before anybody works for it."""

import json
import re
from pathlib import Path

import pytest

from herald.errors import Conflict
from tests.git import unit
from tests.git.conftest import Workbench
from tests.support import repositories
from tests.support.repositories import Remote, git

READ_ONLY = "ERROR: The key you are authenticating with has been marked as read only."


class Host:
    """An ssh host without a network: `ssh` runs what it is asked for here, or refuses a push in a host's words."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self._folder = bench.folder / "bin"
        self._folder.mkdir()
        self.log = bench.folder / "asked"
        self.log.touch()
        self.path = f"{self._folder}:/usr/local/bin:/usr/bin:/bin"
        self.url = f"git@h:{bench.remote.path}"

    def answers(self, to_pushes: str = "") -> None:
        """From now on pushes are refused in these words, or taken."""
        words = self.bench.folder / "words"
        words.write_text(to_pushes)
        refusal = f"cat {words} >&2; echo 'fatal: Could not read from remote repository.' >&2; exit 1"
        script = self._folder / "ssh"
        script.write_text(
            f'#!/bin/sh\nfor last in "$@"; do :; done\necho "$last" >> {self.log}\n'
            f'case "$last" in git-receive-pack*) [ ! -s {words} ] || {{ {refusal}; }};; esac\neval "exec $last"\n'
        )
        script.chmod(0o755)

    def fetch(self, **variables: str) -> tuple[str, str, str]:
        """What the answer says of pushes, and that it has the head anyhow."""
        answer, _pack = unit.fetch(self.bench.state, [], PATH=self.path, **variables)
        assert answer["head"] == self.bench.base
        return answer["in_the_way"], answer["warning"], answer["warning_since"]

    def pushes(self) -> int:
        return self.log.read_text().count("git-receive-pack")


@pytest.fixture
def host(bench: Workbench) -> Host:
    host = Host(bench)
    host.answers()
    bench.configure(host.url)
    return host


def configure(bench: Workbench, push_url: str = "", prefix: str = "agent/sample", problem: str = "") -> None:
    project = repositories.project(remote=str(bench.remote.path))
    repositories.write_snapshot(
        bench.state, project._replace(push_url=push_url, branch_prefix=prefix, push_problem=problem)
    )


def in_the_way(bench: Workbench) -> str:
    answer, _pack = unit.fetch(bench.state, [])
    assert answer["warning"] == ""
    found: str = answer["in_the_way"]
    return found


def age(bench: Workbench, seconds: float) -> None:
    """As if the last look had been so long ago."""
    record = bench.own / "herald-prospects.json"
    known = json.loads(record.read_text())
    record.write_text(json.dumps({**known, "asked": known["asked"] - seconds}))


def test_a_fetch_asks_one_remote_and_a_push_goes_to_the_other(bench: Workbench) -> None:
    fork = Remote(bench.folder / "fork.git")
    configure(bench, str(fork.path))
    assert bench.fetch()[1] == bench.base
    head = bench.commit()

    assert bench.push(head) == ("pushed", "")

    assert fork.heads() == {"agent/sample-1": head}
    assert "agent/sample-1" not in bench.remote.heads()


def test_the_lease_is_on_the_branch_where_it_is_pushed_to(bench: Workbench) -> None:
    fork = Remote(bench.folder / "fork.git")
    configure(bench, f"file://{fork.path}")
    head = bench.commit()
    git(bench.clone, "push", "--quiet", str(bench.remote.path), f"{bench.base}:refs/heads/agent/sample-1")
    assert bench.push(head) == ("pushed", "")
    other = bench.commit("other")
    git(bench.clone, "push", "--quiet", "--force", str(fork.path), f"{bench.base}:refs/heads/agent/sample-1")

    outcome, reason = bench.push(other, expected=head)

    assert (outcome, reason) == ("moved", f"agent/sample-1 is at {bench.base[:12]}, not at {head[:12]}")


def test_the_default_branch_of_the_place_of_pushes_is_never_pushed_to(bench: Workbench) -> None:
    fork = Remote(bench.folder / "fork.git")
    git(bench.clone, "push", "--quiet", str(fork.path), f"{bench.base}:refs/heads/agent/sample-1")
    git(fork.path, "symbolic-ref", "HEAD", "refs/heads/agent/sample-1")
    configure(bench, str(fork.path))
    head = bench.commit()

    with pytest.raises(Exception, match="default branch"):
        bench.push(head, expected=bench.base)


def test_a_project_that_cannot_be_pushed_is_fetched_and_says_why(bench: Workbench) -> None:
    problem = "the clone /srv/x has the push URL DISABLED; set git.push_url in x.yaml"
    configure(bench, problem=problem)
    assert in_the_way(bench) == ""

    with pytest.raises(Conflict) as caught:
        bench.push(bench.commit())

    assert caught.value.message == f"sample cannot be pushed: {problem}"


@pytest.mark.parametrize(
    ("prefix", "branch", "blocks"),
    [
        ("agent/sample", "agent", True),
        ("agent/sample", "agent/sample", False),
        ("agent/sample", "Agent", False),
        ("agent/sample", "agent-2", False),
        ("a/b/c", "a/b", True),
        ("agent", "agent", False),
    ],
)
def test_a_branch_that_is_in_the_way_is_known_at_the_fetch(
    bench: Workbench, prefix: str, branch: str, blocks: bool
) -> None:
    configure(bench, prefix=prefix)
    assert in_the_way(bench) == ""
    git(bench.remote.path, "branch", branch, "main")

    assert in_the_way(bench) == (branch if blocks else "")

    head = bench.commit(branch="work")
    outcome, reason = bench.push(head, branch=f"{prefix}-1")
    assert outcome == ("refused" if blocks else "pushed")
    if blocks:
        assert f"The branch {branch} is in the way of {prefix}-...; remove it there or set git.branch_prefix" in reason
        git(bench.remote.path, "branch", "-D", branch)
        assert in_the_way(bench) == ""


def test_a_branch_in_the_way_counts_where_it_is_pushed_to(bench: Workbench) -> None:
    fork = Remote(bench.folder / "fork.git")
    git(bench.remote.path, "branch", "agent", "main")
    configure(bench, str(fork.path))
    assert in_the_way(bench) == ""
    git(bench.clone, "push", "--quiet", str(fork.path), f"{bench.base}:refs/heads/agent")
    age(bench, 3600)
    assert in_the_way(bench) == "agent"
    git(fork.path, "update-ref", "-d", "refs/heads/agent")

    assert in_the_way(bench) == ""


def test_a_key_that_may_write_is_asked_about_once(host: Host) -> None:
    assert [host.fetch() for _ in range(3)] == [("", "", "")] * 3
    assert host.pushes() == 1
    assert list(host.bench.remote.heads()) == ["main"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (READ_ONLY, "add the public half of your ssh key there, with write access"),
        ("ERROR: Permission to o/r.git denied to deploy key", "marked|denied to deploy key"),
        ("remote: You are not allowed to push code to this project.", "give it write access"),
        ("GitLab: This deploy key does not have write access to this project.", "give it write access"),
        ("Gitea: User: 1:bot with Key: 2:k is not authorized to write to o/r.", "give it write access"),
        ("fatal: remote error: access denied or repository not exported: /r", "give it write access"),
    ],
)
def test_a_key_that_may_only_read_is_a_warning_until_it_may_write(host: Host, words: str, told: str) -> None:
    host.answers(words)
    blocking, warning, since = host.fetch()
    assert (blocking, bool(since)) == ("", True)
    assert warning.startswith("What is made now cannot be pushed as things are: git@h:")
    assert re.search(told, warning)
    assert host.fetch() == (blocking, warning, since)
    assert host.pushes() == 1

    age(host.bench, 61)
    assert host.fetch() == (blocking, warning, since), "the same warning, not a new one"
    host.answers()
    age(host.bench, 61)

    assert host.fetch() == ("", "", "")
    assert host.pushes() == 3


def test_another_key_another_url_and_another_prefix_are_asked_about_anew(host: Host) -> None:
    credentials = host.bench.folder / "credentials"
    credentials.mkdir()
    key = credentials / "git_ssh_key"
    key.write_text("one")
    given = {"CREDENTIALS_DIRECTORY": str(credentials)}
    host.fetch(**given)
    host.fetch(**given)
    assert host.pushes() == 1
    key.write_text("two")
    host.answers(READ_ONLY)
    assert host.fetch(**given)[1]
    assert host.pushes() == 2
    assert "two" not in (host.bench.own / "herald-prospects.json").read_text()

    host.bench.configure(str(host.bench.remote.path))

    assert host.fetch(**given) == ("", "", "")


def test_a_host_that_does_not_answer_pushes_is_no_warning_and_not_asked_by_every_message(host: Host) -> None:
    host.answers("ssh: connect to host h port 22: Connection timed out")
    assert [host.fetch(), host.fetch()] == [("", "", "")] * 2
    assert host.pushes() == 1
    age(host.bench, 601)
    host.fetch()
    assert host.pushes() == 2


def test_a_host_that_hangs_at_pushes_does_not_hold_a_fetch_for_long(host: Host) -> None:
    script = Path(host.path.split(":")[0]) / "ssh"
    script.write_text(script.read_text().replace("eval", 'case "$last" in git-receive-pack*) sleep 60;; esac\neval'))

    assert host.fetch(HERALD_GIT_DEADLINE="2") == ("", "", "")


def test_a_damaged_record_costs_one_look(host: Host) -> None:
    host.fetch()
    for content in ("", "{", "[]", '{"about": 1, "other": 2}', '"text"'):
        (host.bench.own / "herald-prospects.json").write_text(content)
        assert host.fetch() == ("", "", "")
    assert host.pushes() == 6


@pytest.mark.parametrize(
    "words",
    [
        "GH006: Protected branch update failed for refs/heads/agent/sample-1.",
        "error: GH013: Repository rule violations found for refs/heads/agent/sample-1.",
        "GitLab: You are not allowed to create protected branches on this project.",
        "Gitea: Not allowed to push to protected branch agent/sample-1",
        "TF402455: Pushes to this branch are not permitted; you must use a pull request to update this branch.",
    ],
)
def test_a_protected_prefix_is_told_in_the_remote_s_words_with_the_next_step(bench: Workbench, words: str) -> None:
    bench.remote.refuse(words)

    outcome, reason = bench.push(bench.commit())

    assert outcome == "refused"
    assert (
        reason
        == f"{words}. If agent/sample-... is protected there, allow Herald's key to push it or set git.branch_prefix"
    )


def test_a_refusal_for_another_reason_has_no_such_step(bench: Workbench) -> None:
    bench.remote.refuse("not on a Friday")

    assert bench.push(bench.commit()) == ("refused", "not on a Friday")


def test_a_place_of_pushes_that_is_no_repository_is_told_with_the_key_that_changes_it(bench: Workbench) -> None:
    configure(bench, str(bench.folder / "nothing.git"))
    answer, _pack = unit.fetch(bench.state, [])

    assert "nothing.git is not a git repository" in answer["warning"]
    assert "check git.push_url of the project" in answer["warning"]
