"""Repositories as people bring them, on a server: remotes over ssh, the units' own sandbox, all of them at once.

The same traits as in tests/together/test_repositories.py, of which some are chosen for every run of the suite;
HERALD_TEST_TRAITS=all takes all of them.
"""

import json
import os
import shlex
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from herald.errors import Conflict
from tests.support import clones
from tests.support.expectations import ATTACK, EXPECTED, TRAITS, WORKS, Expected
from tests.support.ground import IGNORED
from tests.system.conftest import Site
from tests.system.forge import configure
from tests.system.grounds import Made, slug

_FOLDER = "/opt/grounds"
_ROOT = Path(__file__).parents[2]
_CHOSEN = (
    "old imports", "submodules nested twice", "git-lfs and a submodule", "odd names and very long paths", "sha256",
    "a linked work tree", "a rebase in progress", "pushing disabled",
)  # fmt: skip
_ELSEWHERE = Expected(path=", which agents cannot reach; use a clone that has its own")
_SERVER = {
    "another address": Expected(own="mine:sample.git", path="mine:sample.git"),
    "a linked work tree": _ELSEWHERE,
    "a submodule as the project": _ELSEWHERE,
    "the git folder elsewhere": _ELSEWHERE,
}
"""Where it is another one than in try mode: the clone's own configuration counts alone, and runs reach one folder."""
_ALL = os.environ.get("HERALD_TEST_TRAITS") == "all"
_ATTACK = f"{_FOLDER}/attack.sh"


class Courses:
    """Projects of one kind of workspace, each with a trait, that go their course side by side."""

    def __init__(self, site: Site, mode: str, traits: list[str]) -> None:
        self.machine, self.bus, self.mode = site.machine, site.bus, mode
        self.traits = {slug(each): each for each in traits}
        url, who = f"ssh://forge@127.0.0.1:{site.forge.port}", "herald-agent:"
        sizes = {"HERALD_TEST_MANY_FILES": "2000", "HERALD_TEST_MANY_COMMITS": "2000"}
        said = self._python("tests.system.grounds", who, url, *traits, env=sizes)
        self.made = {name: Made(*each) for name, each in json.loads(said).items()}
        for name, made in self.made.items():
            configure(self.machine, name, path=made.clone, workspace=mode)
        self.machine.wait_for(lambda: set(self.bus.projects()) >= set(self.made), "all projects are in force")

    def _python(self, *words: str, user: str = "root", env: dict[str, str] | None = None) -> str:
        command = ["/opt/herald/venv/bin/python", "-m", *words]
        return self.machine.run(*command, user=user, env={"PYTHONPATH": _FOLDER, **(env or {})}, timeout=600).stdout

    def expected(self, name: str) -> str:
        """The words with which every task fails; empty where they are done."""
        expected = {**EXPECTED, **_SERVER}.get(self.traits[name], WORKS)
        return expected.own if self.mode == "own" else expected.path

    def vote(self, name: str) -> str:
        """The words with which a vote is refused."""
        return EXPECTED.get(self.traits[name], WORKS).vote

    @property
    def able(self) -> list[str]:
        """Those whose tasks are done."""
        return [name for name in self.made if not self.expected(name)]

    def posts(self, name: str) -> list[str]:
        """What was posted in a project's channel."""
        found = self.bus.call("gateway", "ListPosts", project=name, limit=1000)["posts"]
        return [each["text"] for each in found]

    def each(self, names: list[str], text: Callable[[str], str]) -> dict[str, str]:
        """Hand in a task for each; returns what was posted for it, after how it ended."""
        before = {name: len(self.posts(name)) for name in names}
        tasks = {name: self.bus.enqueue(text(name), project=name) for name in names}
        ends = {name: self.bus.ended(task, 600) for name, task in tasks.items()}
        self.bus.idle(600)
        return {name: f"{ends[name]}: " + "\n".join(self.posts(name)[before[name] :]) for name in names}

    def question(self, name: str) -> str:
        """A task that is to change nothing; with `own` the agent tries to change the clone."""
        attack = f"shell P={shlex.quote(self.made[name].clone)} sh {_ATTACK} >/dev/null 2>&1; :"
        return attack if self.mode == "own" else "say hi"

    def done(self, names: list[str], text: Callable[[str], str]) -> None:
        """Hand in a task for each, all of which are done."""
        said = self.each(names, text)
        bad = [f"{name}: {words}" for name, words in said.items() if not words.startswith("done: ")]
        assert not bad, "\n\n".join(bad)

    def refused(self, names: list[str]) -> None:
        """Hand in a task for each, which fails with the sentence that is expected."""
        said = self.each(names, lambda _: "create one.txt: 1")
        bad = [
            f"{name}: {words}"
            for name, words in said.items()
            if not words.startswith("failed: ") or self.expected(name) not in words
        ]
        assert not bad, "\n\n".join(bad)

    def push(self, names: list[str]) -> None:
        """Vote for each."""
        for name in names:
            self.bus.vote(project=name)
        self.bus.idle(600)
        states = {name: self.bus.proposals(project=name)[0]["state"] for name in names}
        bad = {name: (state, self.posts(name)[-1]) for name, state in states.items() if state != "pushed"}
        assert not bad, bad

    def state(self) -> dict[str, str]:
        """A fingerprint of each clone: of every byte of it, or with `path` of what no run may change there."""
        folders = [folder for made in self.made.values() for folder in made.watched]
        folders = folders if self.mode == "own" else [made.clone for made in self.made.values()]
        lines = self._python("tests.system.grounds", f"--{self.mode}", *folders, user="herald-agent").splitlines()
        return {folder: print_ for print_, folder in (line.split(" ", 1) for line in lines)}

    def changed(self, before: dict[str, str]) -> list[str]:
        """The clones that are not as they were."""
        after = self.state()
        return [folder for folder in before if after.get(folder) != before[folder]]

    def wrong(self, names: list[str], condition: str) -> list[str]:
        """Those in whose trees a shell condition does not hold."""
        return [
            n
            for n in names
            if self.machine.run("sh", "-c", f"cd {self.tree(n)} && {condition}", check=False).returncode
        ]

    def arrived(self, name: str) -> dict[str, str]:
        """The agents' branches at the remote."""
        path = self.made[name].arrives
        listed = self.machine.sh(
            f"cd {path}; git for-each-ref --format='%(refname:lstrip=2) %(objectname)'", user="forge"
        )
        found = dict(line.split(" ", 1) for line in listed.splitlines())
        return {branch.removeprefix("heads/"): head for branch, head in found.items() if "agent/" in branch}

    def cards(self, *states: str) -> dict[str, dict[str, object]]:
        """The newest card of each project, if it is in one of these states."""
        found: dict[str, dict[str, object]] = {}
        for name in self.made:
            for each in self.bus.proposals(project=name)[:1]:
                if each["state"] in states:
                    found[name] = each
        return found

    def tree(self, name: str) -> str:
        """Where the agent works."""
        return f"/var/lib/herald/agent/workspaces/{name}" if self.mode == "own" else self.made[name].clone


@pytest.fixture(scope="module", params=["own", "path"])
def courses(site: Site, request: pytest.FixtureRequest) -> Iterator[Courses]:
    machine = site.machine
    if machine.run("sh", "-c", "command -v git-lfs", check=False).returncode:
        pytest.fail("git-lfs is to be part of the layer")
    modules = [Path(clones.__file__).parent, Path(__file__).parent / "grounds.py"]
    files = [each for place in modules for each in ([place] if place.is_file() else place.glob("*.py"))]
    for each in [*files, _ROOT / "tests/__init__.py", _ROOT / "tests/system/__init__.py"]:
        machine.write(f"{_FOLDER}/{each.relative_to(_ROOT)}", each.read_text())
    # Landlock has no right for times and modes, see SECURITY.md.
    attack = ATTACK.replace('touch "$d"/*; chmod -R 777 "$d"', ":") if machine.system.landlock else ATTACK
    machine.write(_ATTACK, attack, mode=0o755)
    traits = [each for each in TRAITS if each != "a bare repository"] if _ALL else list(_CHOSEN)
    found = Courses(site, request.param, traits)
    yield found
    for name in found.made:
        machine.run("rm", f"/etc/herald/projects/{name}.yaml")
    machine.wait_for(lambda: not set(site.bus.projects()) & set(found.made), "the projects are gone")
    machine.sh("rm -rf /srv/herald/repos/* /home/forge/*/", user="root")


def test_each_goes_its_course_as_a_person_expects(courses: Courses) -> None:
    able, votable = courses.able, [name for name in courses.able if not courses.vote(name)]
    before = courses.state()

    courses.refused([name for name in courses.made if name not in able])
    courses.done(able, courses.question)
    assert courses.cards("open") == {}
    courses.done(able, lambda _: "create one.txt: 1")
    courses.done(able, lambda _: "create deeper/two.txt: 2")
    cards = courses.cards("open")
    assert {name: card["commits"] for name, card in cards.items()} == dict.fromkeys(able, 2)

    courses.push(votable)
    for name in set(able) - set(votable):
        with pytest.raises(Conflict, match=courses.vote(name)):
            courses.bus.vote(project=name)
        courses.bus.vote("reject", project=name)
    courses.bus.idle(600)
    expected = {name: {str(cards[name]["branch"]): cards[name]["head"]} for name in votable}
    assert {name: courses.arrived(name) for name in courses.made} == {
        name: expected.get(name, {}) for name in courses.made
    }

    courses.done(able, lambda _: f"shell echo changed > README.md; mkdir -p {IGNORED}; echo 42 > {IGNORED}/out")
    assert {name: card["commits"] for name, card in courses.cards("open").items()} == dict.fromkeys(able, 1)
    for name in able:
        courses.bus.vote("reject", project=name)
    courses.bus.idle(600)
    assert courses.wrong(able, f"! grep -q changed README.md && [ $(cat {IGNORED}/out) = 42 ]") == []
    assert courses.changed(before) == []

    for name in able:
        courses.bus.call("worker", "Reset", key=uuid.uuid4().hex, project=name)
    courses.bus.idle(600)
    anew = f"[ -e README.md ] && [ ! -e {IGNORED} ]"
    courses.machine.wait_for(lambda: courses.wrong(able, anew) == [], "all are made anew", 600)
    if courses.mode == "own":
        assert courses.changed(before) == []
    courses.done(able, lambda _: "say hi")
