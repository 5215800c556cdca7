"""Each key accepts what it should and says what is wrong with the rest."""

import shutil
import subprocess
from pathlib import Path

import pytest

from herald_config import large_files, sources
from tests.config.installation import Installation, places


def message_of(herald: Installation, field: str) -> str:
    """The one problem there is, which must be of that field."""
    found = sources.load(str(herald.config)).problems
    assert [each["field"] for each in found] == [field], found
    return found[0]["message"]


GOOD = [
    "discord_channel_id: 1234567890123456789",
    'discord_channel_id: "123456789"',
    "display_name: 2048",
    'display_name: "👩‍💻 Ünïcode"',
    "agent_name: 'Two Words'",
    "enabled: no",
    "timezone: Europe/Berlin",
    "workspace: worktree",
    "workspace: own",
    "workspace_files: [.env, config/local.yml]",
    "git: {fsck: {accept: [zeroPaddedFilemode]}, submodules: {init: all, push: true}, lfs: {get: none}}",
    "git: {fsck: {accept: [hasdotgit, badObjectSha1]}}",
    "git: {submodules: {init: [lib, third party/x]}, lfs: {get: ['*.bin']}}",
    "replies: steer",
    "threads: off",
    "threads: task",
    "blog_output: repo",
    "accountability: {text: agent}",
    "webhook_url: https://discord.com/api/webhooks/1/abcdefgh",
    "webhook_url: null",
    "schedule:",
    "git:",
    "git: {remote: 'git@github.com:user/chortle.git'}",
    "git: {remote: 'https://github.com/user/chortle.git'}",
    "git: {remote: 'ssh://git@host:2222/r.git'}",
    "git: {remote: '/srv/bare repo.git'}",
    "git: {remote: 'file:///srv/r.git'}",
    "git: {auto_commit: false, push_requires_approval: true, branch_prefix: a/b-c}",
    "schedule: [{cron: '0 8 * * *', task: x}, {cron: '@daily', missed: skip}]",
    "autonomous: {enabled: true, weekly_minutes: 60, min_gap_hours: 0.5, roadmap_paths: [a.md]}",
    "webhook_url: https://canary.discord.com/api/v10/webhooks/1/abcdefgh",
    "webhook_avatar_url: https://example.org/a.png?x=1",
    "deploy: {compose_path: /srv/x/compose.yaml, auto_deploy_on_push: true}",
    "deploy: {compose_path: ./deploy/compose.yaml}",
]


@pytest.mark.parametrize("line", GOOD)
def test_a_good_project_key_is_accepted(herald: Installation, line: str) -> None:
    herald.project("demo", line + "\n")

    assert sources.load(str(herald.config)).problems == []


BAD = [
    ("colour: red", "colour", "is no key here; known are name,"),
    ("disord_channel_id: '1'", "disord_channel_id", "did you mean 'discord_channel_id'?"),
    ("remote: git@h:p", "remote", "it belongs under 'git'"),
    ("git: {branch_prefx: a}", "git.branch_prefx", "did you mean 'branch_prefix'?"),
    ("discord_channel_id: general", "discord_channel_id", "the number that Discord's Copy ID gives"),
    ("discord_channel_id: 1.5", "discord_channel_id", "the number"),
    ("discord_channel_id: -5", "discord_channel_id", "the number"),
    ("discord_channel_id: '١٢٣'", "discord_channel_id", "the number"),
    ("display_name: [a]", "display_name", "must be a text, is a list"),
    ('display_name: "a\\nb"', "display_name", "one line"),
    ("agent_name: My Discord Bot", "agent_name", "must not contain 'discord'"),
    ("agent_name: Clyde", "agent_name", "must not contain 'clyde'"),
    (f"agent_name: {'a' * 81}", "agent_name", "80 characters"),
    ("enabled: maybe", "enabled", "must be true or false, is 'maybe'"),
    ("timezone: Europe/Berln", "timezone", "did you mean 'Europe/Berlin'?"),
    ("timezone: ../../etc/passwd", "timezone", "is no time zone"),
    ("timezone: Europe", "timezone", "is no time zone"),
    ("workspace: both", "workspace", "must be 'path', 'own' or 'worktree', is 'both'"),
    ("replies: never", "replies", "'steer' or 'queue'"),
    ("threads: on", "threads", "'off' or 'task'"),
    ("blog_output: ftp", "blog_output", "'file', 'repo' or 'webhook'"),
    ("git: yes", "git", "must be a mapping"),
    ("git: {branch_prefix: a..b}", "git.branch_prefix", "cannot begin the name of a git branch"),
    ("git: {remote: '../x.git'}", "git.remote", "no absolute path"),
    ("git: {remote: 'ext::sh -c id'}", "git.remote", "transport helper"),
    ("git: {remote: '--upload-pack=id'}", "git.remote", "begins with '-'"),
    ("git: {remote: 'ssh://-oProxyCommand=id/x'}", "git.remote", "no proper host"),
    ("git: {remote: 'git@-oProxyCommand=id:x'}", "git.remote", "no absolute path"),
    ("git: {remote: 'http://h/r.git'}", "git.remote", "http:// is not used"),
    ("git: {remote: 'https://u:secret@h/r.git'}", "git.remote", "holds a password"),
    ("git: {fsck: {accept: [badDte]}}", "git.fsck.accept.0", "`git help --config | grep ^fsck` lists them"),
    ("git: {fsck: {accept: [skipList]}}", "git.fsck.accept.0", "is not an id"),
    ("git: {fsck: {accept: [hasDot, nulInHeader]}}", "git.fsck.accept.1", "always refuses such objects; remove it"),
    ("schedule: {cron: '0 8 * * *'}", "schedule", "must be a list"),
    ("schedule: [{task: x}]", "schedule.0.cron", "is missing"),
    ("schedule: [{cron: '0 8 31 2 *'}]", "schedule.0.cron", "never falls due"),
    ("schedule: [{cron: '0 8 * * *', missed: twice}]", "schedule.0.missed", "'once' or 'skip'"),
    ("autonomous: {weekly_minutes: -1}", "autonomous.weekly_minutes", "at least 0"),
    ("autonomous: {weekly_minutes: 3.5}", "autonomous.weekly_minutes", "a whole number"),
    ("autonomous: {min_gap_hours: .nan}", "autonomous.min_gap_hours", "a number"),
    ("autonomous: {roadmap_paths: [../x]}", "autonomous.roadmap_paths.0", "inside the project"),
    ("deploy: {compose_path: ../compose.yaml}", "deploy.compose_path", "without `..`"),
    ("deploy: {compose_path: a/../../b}", "deploy.compose_path", "without `..`"),
    ("deploy: {compose_path: /srv/../etc/x}", "deploy.compose_path", "`..`"),
    ("deploy: {compose_path: ~/compose.yaml}", "deploy.compose_path", "without ~"),
    ("deploy: {compose_path: '-'}", "deploy.compose_path", "without ~ and without '-'"),
    ("deploy: {compose_path: .}", "deploy.compose_path", "must be a file"),
    ("deploy: {compose_path: 'oci://x/y'}", "deploy.compose_path", "must be a file"),
    (
        "deploy: {compose_path: /srv/herald/repos/x/c.yaml}",
        "deploy.compose_path",
        "inside /srv/herald/repos, where agents",
    ),
    ("deploy: {compose_path: /nowhere/demo/c.yaml}", "deploy.compose_path", "lies inside /nowhere/demo, where agents"),
    (
        "webhook_url: https://evil.example/api/webhooks/1/abcdefgh",
        "webhook_url",
        "its host must be discord.com, by https",
    ),
    (
        "webhook_url: http://discord.com/api/webhooks/1/abcdefgh",
        "webhook_url",
        "its host must be discord.com, by https",
    ),
    ("webhook_url: https://discord.com.evil.example/api/webhooks/1/abcdefgh", "webhook_url", "its host must be"),
    ("webhook_url: https://discord.com/x/api/webhooks/1/abcdefgh", "webhook_url", "its host must be"),
    ("webhook_url: https://discord.com@evil.example/api/webhooks/1/abcdefgh", "webhook_url", "Copy Webhook URL"),
    ("webhook_url: https://discord.com/api/webhooks/abc", "webhook_url", "https://discord.com/api/webhooks/ID/TOKEN"),
    ("webhook_url: https://discord.com/api/webhooks/1/abcdefgh?thread_id=1", "webhook_url", "Copy Webhook URL"),
    ("webhook_avatar_url: ftp://h/a.png", "webhook_avatar_url", "begins with https://"),
    ("webhook_avatar_url: a.png", "webhook_avatar_url", "begins with https://"),
    ("accountability: {text: loud}", "accountability.text", "'template' or 'agent'"),
]


@pytest.mark.parametrize(("line", "field", "words"), BAD)
def test_a_bad_project_key_is_told_with_line_field_and_what_to_write(
    herald: Installation, line: str, field: str, words: str
) -> None:
    herald.project("demo", line + "\n")

    assert words in message_of(herald, field)
    assert places(sources.load(str(herald.config)).problems) == [("demo.yaml", 3, field)]


@pytest.mark.parametrize("path", ["relative", "~/x", "/", "//", "/srv/../etc", '"/srv/a\\nb"'])
def test_a_path_must_be_absolute_and_plain(herald: Installation, path: str) -> None:
    herald.project("demo", path=path)

    message_of(herald, "path")


@pytest.mark.parametrize("name", ["Upper", "-a", "a_b", "a b", "ä", "a" * 41, "../x"])
def test_a_project_name_is_limited_to_what_folders_and_branches_take(herald: Installation, name: str) -> None:
    herald.project("demo").write_text(f"name: '{name}'\npath: /nowhere\n")

    assert "a-z, 0-9 and '-'" in message_of(herald, "name")


def test_a_number_as_a_name_is_taken_as_the_text_it_is(herald: Installation) -> None:
    herald.project("007")

    assert sources.load(str(herald.config)).projects[0].keys.name == "007"


def test_every_problem_of_a_file_is_told_at_once_in_the_order_of_lines(herald: Installation) -> None:
    path = herald.config / "projects" / "x.yaml"
    path.write_text("path: x\nnme: y\ngit:\n  # why\n  auto_commit: perhaps\nschedule:\n  - cron: 1 2 3\n  - task: x\n")

    assert places(sources.load(str(herald.config)).problems) == [
        ("x.yaml", 1, "name"),
        ("x.yaml", 1, "path"),
        ("x.yaml", 2, "nme"),
        ("x.yaml", 5, "git.auto_commit"),
        ("x.yaml", 7, "schedule.0.cron"),
        ("x.yaml", 8, "schedule.1.cron"),
    ]


def test_of_thousands_of_problems_in_one_file_the_first_are_told_soon(herald: Installation) -> None:
    herald.project("unknown", "".join(f"key{number}: x\n" for number in range(9000)))
    herald.project("doubled", "x: 1\n" * 9000)

    found = sources.load(str(herald.config)).problems

    assert len([each for each in found if each["file"].endswith("doubled.yaml")]) == 50
    assert found[-1]["message"] == "8950 further problems are left out"


@pytest.mark.parametrize(
    ("line", "field", "words"),
    [
        ("max_actve: 2", "max_actve", "did you mean 'max_active'?"),
        ("max_active: 0", "max_active", "at least 1"),
        ("max_active: 1000000", "max_active", "at most 64"),
        ("max_active: two", "max_active", "a whole number, is 'two'"),
        ("task_limit: 30", "task_limit", "with its unit"),
        ("task_limit: 30 minutes", "task_limit", "with its unit"),
        ("task_limit: 0s", "task_limit", "between 1s and 24h"),
        ("task_limit: 25h", "task_limit", "between 1s and 24h"),
        ("misfire_grace: soon", "misfire_grace", "with its unit"),
        ("timezone: Mars/Olympus", "timezone", "is no time zone"),
        ("stagger_minutes: -1", "stagger_minutes", "at least 0"),
        ("projects_root: repos", "projects_root", "absolute"),
        ("deploy: {comand: x}", "deploy.comand", "did you mean 'command'?"),
        ("deploy: {command: ''}", "deploy.command", "one line"),
        ("deploy: {command: '\"\"'}", "deploy.command", "names no program"),
        ("deploy: {command: 'docker compose \"x'}", "deploy.command", "close the quote"),
        (
            "deploy: {command: 'cd /x && docker compose'}",
            "deploy.command",
            "run without a shell, so '&&' means nothing",
        ),
        ("deploy: {command: 'docker compose; id'}", "deploy.command", "so ';' means nothing"),
        ("deploy: {command: 'docker compose > log'}", "deploy.command", "so '>' means nothing"),
        ("deploy: {command: 'X=1 docker compose'}", "deploy.command", "`env X=1`"),
        ("deploy: {command: '/bin/sh -c docker'}", "deploy.command", "must not be the shell '/bin/sh'"),
        ("deploy: {socket: docker.sock}", "deploy.socket", "absolute"),
        ("deploy: {time_limit: 15}", "deploy.time_limit", "with its unit"),
        ("deploy: {time_limit: 25h}", "deploy.time_limit", "between 1s and 24h"),
        ("deploy: {time_limit: 0s}", "deploy.time_limit", "between 1s and 24h"),
        ("discord: {system_channel: general}", "discord.system_channel", "Copy ID"),
        ("discord: {work_channel: '#agents'}", "discord.work_channel", "Copy ID"),
        ("discord: {api: 'http://h:1/api', gateway: 'ws://h'}", "discord.api", "like http://127.0.0.1:3201/api/v10"),
        ("discord: {api: 'ftp://h/api/v10', gateway: 'ws://h'}", "discord.api", "like http://127.0.0.1:3201/api/v10"),
        ("discord: {api: 'http://u@h/api/v10', gateway: 'ws://h'}", "discord.api", "like http://"),
        ("discord: {api: 'http://h:x/api/v10', gateway: 'ws://h'}", "discord.api", "no proper address"),
        ("discord: {api: 'http://h/api/v10', gateway: 'http://h'}", "discord.gateway", "like ws://127.0.0.1:3201"),
        ("discord: {api: 'http://h/api/v10'}", "discord.api", "needs discord.gateway too"),
        ("discord: {gateway: 'wss://h/'}", "discord.gateway", "needs discord.api too"),
        ("discord: {guild_id: here}", "discord.guild_id", "Copy ID"),
        ("operators: [{role: reader}]", "operators.0", "names nobody"),
        ("operators: [{unix_user: alice}]", "operators.0.role", "is missing"),
        ("operators: [{unix_user: alice, role: king}]", "operators.0.role", "'reader', 'operator' or 'approver'"),
        ("operators: [{discord_id: bob, role: reader}]", "operators.0.discord_id", "Copy ID"),
        ("operators: [{unix_user: 'a b', role: reader}]", "operators.0.unix_user", "Unix user"),
        ("operators: [{unix_user: a, role: reader, projects: demo}]", "operators.0.projects", "must be a list"),
        ("operators: [{unix_user: a, role: reader, projects: [dem]}]", "operators.0.projects.0", "mean 'demo'?"),
    ],
)
def test_a_bad_key_of_herald_yaml_is_told(herald: Installation, line: str, field: str, words: str) -> None:
    herald.project("demo")
    herald.server(line + "\n")

    assert words in message_of(herald, field)


@pytest.mark.parametrize(
    "command", ["docker compose", "podman-compose --in-pod=false", "env X='a b' docker compose", '"/opt/my tools/up"']
)
def test_a_compose_command_of_several_words_is_accepted(herald: Installation, command: str) -> None:
    herald.server(f"deploy:\n  command: {command}\n".replace(command, repr(command)))

    assert sources.load(str(herald.config)).problems == []


def test_a_webhook_of_the_server_that_is_used_in_place_of_discord_is_accepted(herald: Installation) -> None:
    herald.server("discord: {api: 'http://127.0.0.1:3201/x/v10/', gateway: 'ws://127.0.0.1:3201/'}\n")
    for number, url in enumerate(
        ("http://127.0.0.1:3201/x/v10", "http://127.0.0.1:3201/api", "https://discord.com/api")
    ):
        herald.project(f"p{number}", f"webhook_url: {url}/webhooks/{number}/abcdefgh\n")
    assert sources.load(str(herald.config)).problems == []

    herald.project("demo", "webhook_url: http://127.0.0.1:3202/api/webhooks/1/abcdefgh\n")
    assert "or that of discord.api" in message_of(herald, "webhook_url")


def test_one_person_may_have_several_roles_in_several_projects(herald: Installation) -> None:
    herald.project("demo")
    herald.server("operators:\n- {discord_id: 5, role: reader}\n- {discord_id: 5, role: approver, projects: [demo]}\n")

    assert sources.load(str(herald.config)).problems == []


def test_the_address_of_a_webhook_is_never_repeated(herald: Installation) -> None:
    herald.project("demo", "webhook_url: discord.com/api/webhooks/1/SECRET\n")

    assert "SECRET" not in str(sources.load(str(herald.config)).problems)


PREFIXES = [
    "agent/demo", "a", "a.b", "a@b", "ä/ö", "a..b", "a b", "/a", "a/", "a//b", ".a", "a/.b", "a.lock/b", "a~", "a^",
    "a:", "a?", "a*", "a[", "a\\b", "a@{b", "-a", "a\x7f",
]  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_branch_prefix_is_accepted_exactly_when_git_takes_the_branches_under_it(
    herald: Installation, prefix: str
) -> None:
    herald.project(
        "demo", "git:\n  branch_prefix: " + '"' + prefix.replace("\\", "\\\\").replace("\x7f", "\\x7f") + '"\n'
    )
    branch = f"{prefix}-20260101-000000"
    known_to_git = subprocess.run(["git", "check-ref-format", "--branch", branch], capture_output=True).returncode == 0

    accepted = sources.load(str(herald.config)).problems == []

    assert accepted == (known_to_git and not prefix.endswith("/"))


@pytest.mark.parametrize(
    ("attributes", "key", "is_needed"),
    [
        ("*.bin filter=lfs diff=lfs merge=lfs -text\n", "", True),
        ("# *.bin filter=lfs\n*.txt text\n", "", False),
        ("", "git: {lfs: {get: all}}\n", True),
    ],
)
def test_a_project_that_needs_git_lfs_where_there_is_none_is_named(
    herald: Installation,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    attributes: str,
    key: str,
    is_needed: bool,
) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / ".gitattributes").write_text(attributes)
    herald.project("demo", key, path=tmp_path / "demo")
    found = sources.load(str(herald.config)).projects[0]
    assert large_files.notice_of(found) == "" or shutil.which("git-lfs") is None
    monkeypatch.setenv("PATH", "/nonexistent")
    assert ("`apt-get install git-lfs`" in large_files.notice_of(found)) is is_needed


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("https://lfs.example.org/a", True),
        ("git@host:a/b.git", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://lfs.example.org/a", False),
        ("http://127.0.0.1@evil.example/", False),
        ("ext::sh", False),
        ("-c", False),
    ],
)
def test_a_server_of_large_files_is_asked_encrypted_or_on_this_machine(
    herald: Installation, url: str, is_taken: bool
) -> None:
    herald.project("demo", f"git: {{lfs: {{url: '{url}'}}}}\n")
    assert (sources.load(str(herald.config)).problems == []) is is_taken
