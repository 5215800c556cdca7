"""A changed key changes nothing else: over files of every form that YAML has."""

import difflib
import io
import itertools
import json
import random
import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from herald.errors import Conflict, Invalid
from herald_config import document, editing, rendering
from herald_config.problem import Flawed
from tests.config.installation import ROOT

EXAMPLE = (ROOT / "packaging/etc/projects/example.yaml").read_text()


def changed(text: str, key: str, value: Any) -> str:
    """The text with one key set."""
    data = editing.changed("x.yaml", text.encode(), key, rendering.value_of(key, json.dumps(value)))
    return data.decode()


def lines_changed(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that went, and those that came."""
    found = [*difflib.ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True))]
    return [each[2:] for each in found if each[0] == "-"], [each[2:] for each in found if each[0] == "+"]


@pytest.mark.parametrize(
    ("before", "key", "value", "after"),
    [
        ("name: a\npath: /x # why\n", "path", "/y", "name: a\npath: /y # why\n"),
        ("name: a\npath: '/x'\n", "path", "/y's", "name: a\npath: '/y''s'\n"),
        ("name: a\nenabled: yes   # c\n", "enabled", False, "name: a\nenabled: false   # c\n"),
        ("name: a\nenabled:   # c\n", "enabled", True, "name: a\nenabled: true   # c\n"),
        ("name: a", "enabled", True, "name: a\nenabled: true"),
        ("name: a\r\npath: /x\r\n", "display_name", "B", "name: a\r\ndisplay_name: B\r\npath: /x\r\n"),
        ("name: a\n# of git\ngit:\n  remote: x # r\n\n# end\n", "git.auto_commit", False,
         "name: a\n# of git\ngit:\n  auto_commit: false\n  remote: x # r\n\n# end\n"),
        ("name: a\ngit:\n    remote: x\n", "git.remote", None, "name: a\ngit:\n"),
        ("name: a\ngit: {remote: x, auto_commit: no}\n", "git.remote", None, "name: a\ngit: {auto_commit: no}\n"),
        ("name: a\ngit: {remote: x, auto_commit: no}\n", "git.auto_commit", None, "name: a\ngit: {remote: x}\n"),
        ("name: a\ngit: {remote: x}\n", "git.branch_prefix", "p", "name: a\ngit: {branch_prefix: p, remote: x}\n"),
        ("name: a\ngit: {}\n", "git.remote", "x", "name: a\ngit:\n  remote: x\n"),
        ("name: a\ngit: null # c\n", "git.remote", "x", "name: a\ngit:  # c\n  remote: x\n"),
        ("{name: a, path: /x}\n", "enabled", False, "{name: a, path: /x, enabled: false}\n"),
        ('{"name":"a","path":"/x"}', "path", "/y", '{"name":"a","path":"/y"}'),
        ("name: a\nschedule:\n- cron: '@daily'\n  task: x\n", "schedule.0.cron", "0 8 * * *",
         "name: a\nschedule:\n- cron: '0 8 * * *'\n  task: x\n"),
        ("name: a\nschedule:\n- cron: '@daily' # c\n", "schedule.1", {"cron": "@weekly", "task": "x\ny"},
         "name: a\nschedule:\n- cron: '@daily' # c\n- cron: \"@weekly\"\n  task: |-\n    x\n    y\n"),
        ("name: a\nschedule:\n- cron: a\n# c\n- cron: b\n", "schedule.0", None, "name: a\nschedule:\n# c\n- cron: b\n"),
        ("name: a\nschedule: []\n", "schedule.0.cron", "@daily", 'name: a\nschedule:\n  - cron: "@daily"\n'),
        ("name: a\n", "schedule.0.cron", "@daily", 'name: a\nschedule:\n  - cron: "@daily"\n'),
        ("name: a\nschedule:\n- task: >+ # c\n    x\n\n\n  cron: b\n", "schedule.0.task", "one",
         "name: a\nschedule:\n- task: one # c\n  cron: b\n"),
        ("name: a\nschedule:\n- {cron: a}\n", "schedule.0.missed", "skip",
         "name: a\nschedule:\n- {cron: a, missed: skip}\n"),
        ("\ufeffname: a\n...\n", "enabled", True, "\ufeffname: a\nenabled: true\n...\n"),
        ("--- # c\nname: a\n", "discord_channel_id", "12", '--- # c\nname: a\ndiscord_channel_id: "12"\n'),
        ("name: a\nagent_name: two\n  lines # c\nx: 1\n", "agent_name", "Ü 👩",
         'name: a\nagent_name: "Ü 👩" # c\nx: 1\n'),
        ("name: a\npath:\n  /x # c\n", "path", "/y", "name: a\npath:\n  /y # c\n"),
        ("name: a\n'git' : {}\n", "git", {"remote": "x"}, "name: a\n'git' :\n  remote: x\n"),
        ("name: a\nwebhook_url: x     # c\n         # d\npath: /x\n", "webhook_url", None, "name: a\npath: /x\n"),
        ("name: &n a\ndisplay_name: *n\n", "display_name", "B", "name: &n a\ndisplay_name: B\n"),
    ],
)  # fmt: skip
def test_a_key_is_changed_in_the_form_that_stands_there(before: str, key: str, value: Any, after: str) -> None:
    assert changed(before, key, value) == after
    assert key.endswith(".0") or changed(after, key, value) == after


def test_what_is_so_already_stays_byte_for_byte() -> None:
    assert changed(EXAMPLE, "replies", "queue") == EXAMPLE
    assert changed(EXAMPLE, "git.remote", None) == EXAMPLE
    assert changed(EXAMPLE, "schedule.7.cron", None) == EXAMPLE
    assert changed(EXAMPLE, "nothing.of.it", None) == EXAMPLE


def test_a_list_set_whole_changes_where_it_differs_and_keeps_the_comments() -> None:
    before = (
        "name: a\nschedule: # s\n  # first\n  - cron: '@daily' # d\n    task: x # t\n  # second\n  - cron: '@weekly'\n"
    )
    entries = [{"cron": "@daily", "task": "z"}, {"cron": "@weekly"}, {"cron": "@hourly"}]

    after = changed(before, "schedule", entries)

    assert lines_changed(before, after) == (["    task: x # t\n"], ["    task: z # t\n", '  - cron: "@hourly"\n'])
    assert lines_changed(after, changed(after, "schedule", entries[:1]))[1] == []


def test_new_keys_stand_where_the_example_has_them() -> None:
    text = "name: a\npath: /x\n"
    for key, value in {
        "deploy.auto_deploy_on_push": True,
        "agent_name": "P",
        "git.remote": "/r",
        "enabled": False,
    }.items():
        text = changed(text, key, value)

    assert [line.split(":")[0] for line in text.splitlines()] == [
        "name", "path", "enabled", "agent_name", "git", "  remote", "deploy", "  auto_deploy_on_push",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("name: a\ngit: &g\n  remote: x\nother: *g\n", "git.remote"),
        ("name: a\ngit: &g {remote: x}\nother: *g\n", "git"),
        ("name: a\nbase: &g {remote: x}\ngit: *g\n", "git.remote"),
        ("name: a\ngit: &g\n", "git"),
        ("name: a\n? git\n", "git.remote"),
    ],
)
def test_what_cannot_be_changed_alone_is_left_to_the_operator(text: str, key: str) -> None:
    with pytest.raises(Conflict, match="change it by hand"):
        changed(text, key, {"remote": "y"} if key == "git" else "y")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("name.x", "1", "name is no mapping"),
        ("schedule.3", "{}", "is a list of 1; write one of 0 to 1"),
        ("schedule.first", "{}", "is a list of 1"),
        ("git.", "1", "no mapping"),
        ("path", "nonsense", "no proper JSON"),
        ("path", "NaN", "no number that JSON knows"),
        ("path", '"\\ud800"', "no proper JSON"),
        ("path", "[" * 30 + "]" * 30, "deeper than 16"),
        ("path", "[" * 100_000, "no proper JSON"),
    ],
)
def test_a_setting_that_leads_nowhere_is_refused(key: str, value: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        editing.changed("x", b"name: a\ngit: {}\nschedule: [{}]\n", key, rendering.value_of(key, value))


@pytest.mark.parametrize(
    "text", ["a: 1\n---\nb: 2\n", "a: 1\na: 2\n", "- a\n", "a: [\n", "x: &x {a: 1}\ny: {<<: *x}\n"]
)
def test_a_file_that_is_no_single_plain_document_is_not_touched(text: str) -> None:
    with pytest.raises(Flawed):
        changed(text, "a", 5)


TEXTS = [
    "plain", "two words", "true", "No", "null", "~", "007", "12", "1e3", "- a", "a: b", "a #b", "#c", "a:", ":a", "a,b",
    "[a]", "{a}", "&a", "*a", "!a", "|", ">", "%a", "@daily", "`a`", "'", '"', "a'b\"c\\", " lead", "trail ", "", "\t",
    "a\tb", "a\nb", "a\nb\n", "a\n\nb", "\na", "a\n\n", " a\nb", "a \nb", "a\r\nb", "a\x85b", "a\u2028b", "\ufeffa",
    "\x00", "é😀", "a" * 300, "# x\ny", "---\nx", "...", "0x1F", "=", "<<", "https://h/p?a=b&c#d", "git@host:a/b.git",
    "0 8 * * *", "x: |\n  y", "y\u00a0z",
]  # fmt: skip
FRAMES = [
    "name: n\ntask: {}\nlast: 1\n",
    "name: n\ntask: {} # c\n\n# d\nlast: 1",
    "name: n\nin: {{task: {}, b: c}}\n",
    "name: n\nin:\r\n- task: {}\r\n  b: c\r\n",
    "name: n\nin: [{}, b]\n",
    "name: n\nin:\n  - {} # c\n  - b\n",
]
OLD = ["x", "'x'", '"x"', "|\n    x\n    y", "", "{a: b}", "[a, b]", ">-\n    x", "*n"]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_comes_back_from_any_place(text: str) -> None:
    for frame, old in [*itertools.product(FRAMES, OLD)][TEXTS.index(text) % 5 :: 5]:
        before = frame.format(old).replace("name: n", "name: &n n")
        if ("{task" in frame or "[" in frame) and old[:1] in ("|", ">"):
            continue
        key = (
            "task"
            if "\ntask" in frame
            else "in.0"
            if "task" not in frame
            else "in.task"
            if "{task" in frame
            else "in.0.task"
        )
        try:
            data = document.parse("x", before.encode()).data
        except Flawed:
            continue
        try:
            after = changed(before, key, text)
        except Conflict:
            assert old == ""  # an entry of a list of which nothing is written down
            continue
        found = document.parse("x", after.encode()).data
        assert value_at(found, key) == text
        assert without(found, key) == without(data, key)
        assert "\n" in old or comments(after) == comments(before)
        theirs = YAML(typ="safe", pure=True).load(after)
        assert value_at(theirs, key) == text  # what another reader of YAML 1.2 makes of it


def value_at(data: Any, key: str) -> Any:
    for part in key.split("."):
        data = data[int(part) if isinstance(data, list) else part]
    return data


def without(data: Any, key: str) -> Any:
    """A copy without the value of that key."""
    copy = json.loads(json.dumps(data))
    *path, last = key.split(".")
    holder = value_at(copy, ".".join(path)) if path else copy
    holder[int(last) if isinstance(holder, list) else last] = None
    return copy


def comments(text: str) -> list[str]:
    """The comments, as ruamel's scanner sees them; those that a block scalar holds are none."""
    return re.findall(r"(?m)(?:^|(?<= ))# ?[cd]\b", text)


class Maker:
    """Makes a random file and remembers what it holds; every line carries a comment of its own where it can."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.comment = itertools.count()

    def file(self) -> str:
        keys = ["name", "path", "git", "schedule", "deploy", "agent_name", "enabled", "autonomous", "zz", "q r"]
        chosen = ["name", *self.random.sample(keys[1:], self.random.randint(2, 8))]
        text = "".join(self.entry(key, 0, 2) for key in chosen)
        if self.random.random() < 0.2:
            text = text.rstrip("\n")
        if self.random.random() < 0.2:
            text = "--- # begin\n" + text
        return text.replace("\n", "\r\n") if self.random.random() < 0.2 else text

    def entry(self, key: str, indent: int, depth: int) -> str:
        blank = " " * indent
        written = self.random.choice([key, f'"{key}"', f"'{key}'"]) if key != "name" else key
        lead = self.random.choice(["", "", f"{blank}# above {next(self.comment)}\n", "\n"])
        return f"{lead}{blank}{written}:{self.value(indent, depth)}"

    def value(self, indent: int, depth: int) -> str:
        note = self.random.choice(["", f"  # note {next(self.comment)}"])
        inner = indent + self.random.choice([1, 2, 4])
        form = self.random.choice(["plain", "single", "double", "none", "literal", "flow", "map", "list"])
        if depth == 0 and form in ("map", "list"):
            form = "plain"
        if form == "map":
            keys = self.random.sample(["remote", "cron", "a", "b", "task"], self.random.randint(1, 3))
            return f"{note}\n" + "".join(self.entry(key, inner, depth - 1) for key in keys)
        if form == "list":
            dash = self.random.choice([indent, inner]) if indent == 0 else inner
            items = []
            for _ in range(self.random.randint(1, 3)):
                if self.random.random() < 0.5:
                    items.append(f"{' ' * dash}- item{next(self.comment)}\n")
                else:
                    more = "".join(self.entry(key, dash + 2, 0) for key in ("task", "b")).lstrip("\n")
                    more = more if not more.lstrip(" ").startswith("#") else f"{' ' * (dash + 2)}k: v\n{more}"
                    items.append(f"{' ' * dash}- {more[dash + 2 :]}")
            return f"{note}\n" + "".join(items)
        return {
            "plain": f" word{next(self.comment)}{note}\n",
            "single": f" 'it''s {next(self.comment)}'{note}\n",
            "double": f' "tab\\t # \\u00e9 {next(self.comment)}"{note}\n',
            "none": f"{note}\n",
            "literal": f" {self.random.choice('|>')}{self.random.choice(['', '-', '+'])}{note}\n"
            f"{' ' * inner}text # none\n\n{' ' * inner}  more\n{self.random.choice(['', chr(10)])}",
            "flow": self.random.choice([" {a: b, 'c': [d, {e: f}]}", " [x, 'y', {z: 1}]", " {}", " []"]) + f"{note}\n",
        }[form]  # fmt: skip


def paths_of(data: Any, path: str = "") -> list[str]:
    """Every place in a document, and some that are not there yet."""
    found = []
    if isinstance(data, dict):
        for key, value in [*data.items(), ("new", None), ("git", data.get("git")), ("missed", data.get("missed"))]:
            found += [f"{path}{key}", *paths_of(value, f"{path}{key}.")]
    elif isinstance(data, list):
        for index, value in enumerate([*data, None]):
            found += [f"{path}{index}", *paths_of(value, f"{path}{index}.")]
    return found


VALUES: list[Any] = [
    None,
    True,
    5,
    "w",
    "a: #b",
    "x\ny\n",
    "",
    ["p", {"q": "r\ns"}],
    {"k": "v", "l": {"m": ["n"]}},
    [],
    {},
]


@pytest.mark.parametrize("seed", range(10))
def test_over_random_files_exactly_the_asked_key_differs(seed: int) -> None:
    maker = Maker(seed)
    refused = 0
    for _ in range(10):
        text = maker.file()
        before = document.parse("x", text.encode()).data
        for key in maker.random.sample(paths := sorted(set(paths_of(before)) - {"name"}), min(6, len(paths))):
            value = maker.random.choice(VALUES)
            try:
                after = changed(text, key, value)
            except Conflict:
                refused += 1
                continue
            gone, come = lines_changed(text, after)
            old = [value_at(before, key)] if has(before, key) else []
            notes = re.findall(r"# (?:note|above|begin) ?\d*", text)
            lost = [each for each in notes if each not in after]
            below = re.findall(r"# (?:note|above) ?\d*", "".join(gone))
            assert not lost or (old and set(lost) <= set(below)), (text, key, value, after)
            assert after.count("\r\n") == after.count("\n") or "\r\n" not in text, (text, key, value, after)
            if not (old and (value is None or isinstance(old[0], (dict, list)))):
                extent = len(gone) - len(json.dumps(old).split("\\n")) - 3
                assert extent <= 0, (text, key, value, after)
            theirs = YAML(typ="rt", pure=True)
            theirs.load(io.StringIO(after))
            assert plain_pruned(document.parse("x", after.encode()).data) == plain_pruned(
                put(before, key, rendering.plain(value))
            ), (text, key, value, after)
            assert come or gone or plain_pruned(put(before, key, rendering.plain(value))) == plain_pruned(before)
    assert refused <= 2  # a block scalar that the end of the file cuts short takes no key below it


def has(data: Any, key: str) -> bool:
    try:
        value_at(data, key)
    except (KeyError, IndexError, TypeError, ValueError):
        return False
    return True


def put(data: Any, key: str, value: Any) -> Any:
    """A copy with the value there: what the editor must arrive at, by another way."""
    copy = json.loads(json.dumps(data))
    *path, last = key.split(".")
    here = copy
    for index, part in enumerate(path):
        name: Any = int(part) if isinstance(here, list) else part
        if isinstance(here, list) and name == len(here):
            here.append(None)
        if (here[name] if isinstance(here, list) else here.get(name)) is None:
            here[name] = [] if [*path, last][index + 1].isdecimal() else {}
        here = here[name]
    if isinstance(here, list) and value is None:
        del here[int(last) : int(last) + 1]
    elif isinstance(here, list) and int(last) == len(here):
        here.append(value)
    else:
        here[int(last) if isinstance(here, list) else last] = value
    return copy


def plain_pruned(value: Any) -> Any:
    """Keys that hold nothing mean as much as keys that are not there."""
    if isinstance(value, dict):
        return {key: each for key, each in ((k, plain_pruned(v)) for k, v in value.items()) if each is not None} or None
    if isinstance(value, list):
        return [plain_pruned(each) for each in value] or None
    return value
