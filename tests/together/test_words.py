"""What a person writes is taken as text, whatever it looks like, by the command line and by the chat."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import anthropic, claude, processes
from tests.support.herald import Herald, Site
from tests.support.processes import wait_for
from tests.support.repositories import git_bytes

_HOSTILE = [
    b"/cost",
    b"@/etc/hostname",
    b"nul \0 and \xff\xfe broken \xc3( utf-8",
    b"--- message ---",
    b"$(touch /tmp/x) `id` ; rm -rf . # '\" \\",
    "\u202ereversed \x1b[2J cleared".encode(),
]


@contextmanager
def real_agent(folder: Path) -> Iterator[tuple[Site, anthropic.Api]]:
    """A site where the real CLI works, by a script that can be taken away, against the peer that plays the API."""
    cli = claude.installed()
    program = folder / "bin" / "claude"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {cli} "$@"\n')
    program.chmod(0o755)
    with anthropic.serve(folder) as api:
        environment = {**api.environment(), "HERALD_CLAUDE": str(program)}
        with Site(folder, agent="claude", environment=environment) as site:
            yield site, api


def heraldctl(herald: Herald, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The command line that Herald printed."""
    return subprocess.run([*herald.heraldctl, *arguments], input=stdin, capture_output=True, check=False)


def notes(site: Site) -> list[str]:
    """What the stand-in took for its messages, line by line."""
    ((branch, _),) = site.pushed().items()
    return git_bytes(site.remote.path, "show", f"{branch}:NOTES.md").decode().split("\n")[:-1]


def test_words_that_look_like_something_else_reach_the_agent_as_they_are(tmp_path: Path) -> None:
    long = b"long " + b"x" * (1 << 20)
    with Site(tmp_path) as site:
        herald = site.start()
        for text in [*_HOSTILE, long]:
            done = heraldctl(herald, "run", "sample", "-", stdin=text)
            assert done.returncode == 0, done.stderr
        herald.idle()
        herald.say(*_HOSTILE, long[:100_000], "+1")
        herald.finish()

        expected = [text.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}") for text in _HOSTILE]
        found = [line for line in notes(site) if line]
        assert [line for line in found if not line.startswith("long ")] == expected * 2
        assert [len(line) for line in found if line.startswith("long ")] == [len(long), 100_000]
        assert not Path("/tmp/x").exists()


def test_a_task_beyond_the_limit_is_refused_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        done = heraldctl(herald, "run", "sample", "-", stdin=b"x" * ((2 << 20) + 1))
        assert done.returncode == 2
        assert b"put long material into a file of the project" in done.stderr
        assert heraldctl(herald, "run", "sample", "-", stdin=b" \n ").returncode == 2
        assert site.events.seen == []
        herald.finish()


def test_the_real_agent_takes_commands_and_mentions_as_text(tmp_path: Path) -> None:
    with real_agent(tmp_path) as (site, api):
        herald = site.start()
        for text in (b"/cost [[text one]]", b"@/etc/hostname [[text two]]", b"a\0b\xff [[text three]]"):
            assert heraldctl(herald, "run", "sample", "-", stdin=text).returncode == 0
        assert heraldctl(herald, "run", "sample", "-", stdin=b"[[text four]]" + b"y" * (1 << 20)).returncode == 0
        herald.idle()
        posts = herald.finish()

        requests = api.requests()
        assert len(requests) == 4
        bodies = [json.dumps(request["body"], ensure_ascii=False) for request in requests]
        assert "/cost [[text one]]" in bodies[0]
        assert "@/etc/hostname [[text two]]" in bodies[1]
        hostname = Path("/etc/hostname").read_text().strip()
        assert hostname not in bodies[1]
        assert "y" * (1 << 20) in bodies[3]
        assert [posts.index(word) for word in ("one", "two", "three", "four")] == sorted(
            posts.index(word) for word in ("one", "two", "three", "four")
        )


def test_nothing_of_the_callers_environment_reaches_the_agent_or_the_services(tmp_path: Path) -> None:
    secrets = {"HERALD_SECRET": "s3cret-1", "DISCORD_TOKEN": "s3cret-2", "AWS_SECRET": "s3cret-3", "X": "s3cret-4"}
    with Site(tmp_path, environment={**secrets, "CLAUDE_WANTED": "wanted"}) as site:
        herald = site.start()
        task = herald.enqueue("shell env; sleep 600")
        site.events.wait("task.running", task)
        children = wait_for(
            lambda: [pid for pid in processes.marked(site.mark) if processes.arguments(pid)[:1] == ["sleep"]],
            "the agent's child",
        )
        services = [pid for name in ("gateway", "worker", "agent", "cli") for pid in herald.pids(name)]
        assert len(services) == 4
        for pid in [*children, *services]:
            variables = processes.environment(pid)
            assert not [name for name, value in variables.items() if "s3cret" in value], processes.arguments(pid)
            assert ("CLAUDE_WANTED" in variables) is (pid in [*children, *herald.pids("agent"), *herald.pids("cli")])
        assert "HERALD_STATE" not in processes.environment(children[0])
        herald.call("worker", "Cancel", task=task)
        herald.finish()


@pytest.mark.parametrize("how", ["gone", "logged out"])
def test_an_agent_that_cannot_be_used_any_more_is_told_in_one_line_with_the_next_step(tmp_path: Path, how: str) -> None:
    with real_agent(tmp_path) as (site, _):
        herald = site.start()
        if how == "gone":
            Path(site.environment["HERALD_CLAUDE"]).unlink()
            herald.say("hello")
        else:
            herald.say("[[status 401]]")
        posts = herald.finish(1)
        (line,) = [line for line in posts.splitlines() if "failed (" in line]
        assert ("npm install -g @anthropic-ai/claude-code" if how == "gone" else "log in") in line, line
