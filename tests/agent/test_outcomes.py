"""The real CLI against a peer that plays the API: each way to end has its outcome and says what to do next."""

import pytest

from tests.agent.place import Place, fake_cli, git
from tests.support import anthropic


def test_a_message_becomes_a_commit(real: Place, api: anthropic.Api) -> None:
    before = real.clone_state()
    files = real.run("[[commit hello.txt hi]]")
    assert files.end["outcome"] == "ok"
    assert files.end["message"] == ""
    assert files.end["commits"] == 1
    assert real.show("agent/pounce-1", "hello.txt") == "hi"
    assert git(real.tree, "log", "-1", "--format=%an %s", "agent/pounce-1") == "Pounce Add hello.txt"
    assert real.clone_state() == before
    assert real.leftovers() == []
    assert files.end["turns"] == 3
    assert files.end["usage"]["input_tokens"] == 3000
    assert files.end["usage"]["output_tokens"] == 120
    assert files.end["cost_usd"] == pytest.approx(sum(files.end["usage"]["models"].values()))
    assert files.end["session"] == api.requests()[0]["session"]
    assert "Write hello.txt" in files.progress
    assert files.text.startswith("Done:")


@pytest.mark.parametrize(
    ("scenario", "outcome", "words"),
    [
        ("status 401", "auth", "log in, or set ANTHROPIC_API_KEY"),
        ("status 403", "auth", "log in"),
        ("status 402", "billing", "Check the balance"),
        ("status 429", "rate_limit", "Try again later"),
        ("status 529", "transient", "try again later"),
        ("status 500", "transient", "try again later"),
        ("status 404", "failed", "model"),
        ("too-long", "context_overflow", "Split the task"),
        ("drop", "transient", "try again later"),
        ("cut", "transient", "try again later"),
    ],
)
def test_a_refusal_of_the_api_is_no_success(real: Place, scenario: str, outcome: str, words: str) -> None:
    files = real.run(f"[[{scenario}]]")
    assert files.end["outcome"] == outcome
    assert words in files.end["message"]
    assert files.end["commits"] == 0
    assert real.branches() == []


def test_a_silent_api_is_given_up_in_time(real: Place) -> None:
    real.environment["API_TIMEOUT_MS"] = "1000"
    files = real.run("[[hang]]")
    assert files.end["outcome"] == "transient"
    assert "timed out" in files.end["message"]


def test_an_exhausted_subscription_says_when_it_goes_on(real: Place) -> None:
    del real.environment["ANTHROPIC_API_KEY"]
    real.environment["CLAUDE_CODE_OAUTH_TOKEN"] = "sk-ant-oat01-of-a-test"
    files = real.run("[[limit]]")
    assert files.end["outcome"] == "usage_limit"
    assert files.end["resets_at"] == anthropic.RESET
    assert "limit" in files.end["message"]


def test_a_logged_out_cli_says_how_to_log_in(real: Place) -> None:
    del real.environment["ANTHROPIC_API_KEY"]
    files = real.run("[[text hi]]")
    assert files.end["outcome"] == "auth"
    assert "log in" in files.end["message"]
    assert files.entries("log")[0]["text"].startswith("none was found")


def test_a_missing_cli_says_how_to_install_it(place: Place) -> None:
    place.environment |= {"HERALD_AGENT": "claude", "HERALD_CLAUDE": str(place.folder / "nothing")}
    files = place.run("say hi")
    assert files.end["outcome"] == "not_installed"
    assert "npm install -g @anthropic-ai/claude-code" in files.end["message"]
    assert "\n" not in files.end["message"]
    assert place.leftovers() == []


def test_a_cli_that_is_no_program_ends_the_run_with_a_reason(place: Place) -> None:
    broken = place.folder / "claude"
    broken.write_bytes(b"\x7fELF no")
    broken.chmod(0o755)
    place.environment |= {"HERALD_AGENT": "claude", "HERALD_CLAUDE": str(broken)}
    files = place.run("say hi")
    assert files.end["outcome"] == "failed"
    assert str(broken) in files.end["message"]


def test_what_is_not_permitted_blocks_a_run_that_did_nothing(real: Place) -> None:
    files = real.run('[[tool Write {"file_path":".mcp.json","content":"{}"}]]')
    assert files.end["outcome"] == "denied"
    assert files.end["denials"] == ["Write"]
    assert "Not permitted: Write" in files.end["message"]


def test_what_is_not_permitted_does_not_take_away_what_was_done(real: Place, api: anthropic.Api) -> None:
    (real.clone / ".claude").mkdir()
    real.run("[[commit a.txt a]]", branch="agent/pounce-1")
    deny = '{"permissions":{"deny":["Bash"]}}'
    (real.clone / ".claude/settings.json").write_text(deny)
    git(real.clone, "add", ".claude/settings.json")
    git(real.clone, "commit", "--quiet", "-m", "Deny Bash")
    files = real.run("[[write b.txt b]]", base=git(real.clone, "rev-parse", "HEAD"))
    assert files.end["outcome"] == "ok"
    assert files.end["commits"] == 1  # what it could not commit itself


def test_the_projects_claude_md_reaches_the_model(real: Place, api: anthropic.Api) -> None:
    (real.clone / "CLAUDE.md").write_text("The word of the day is heliotrope.\n")
    git(real.clone, "add", "CLAUDE.md")
    git(real.clone, "commit", "--quiet", "-m", "Say the word")
    real.run("[[text hi]]", base=git(real.clone, "rev-parse", "HEAD"))
    assert "heliotrope" in str(api.requests()[0]["body"])


def test_the_model_has_the_seven_tools_and_no_others(real: Place, api: anthropic.Api) -> None:
    real.run("[[text hi]]")
    names = {tool["name"] for tool in api.requests()[0]["body"]["tools"]}
    assert names - {"DeferredToolPlaceholder"} == {"Read", "Write", "Edit", "Bash", "Glob", "Grep", "Agent"}


def test_the_task_tool_is_allowed(real: Place, api: anthropic.Api) -> None:
    task = '{"description":"Look","prompt":"[[text the answer of the other]]","subagent_type":"general-purpose"}'
    files = real.run(f"[[tool Task {task}]]")
    assert files.end["denials"] == []


def test_the_command_line_never_skips_permissions(real: Place, api: anthropic.Api, cli: str) -> None:
    wrapper = real.folder / "claude"
    wrapper.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {real.folder}/argv\nexec {cli} "$@"\n')
    wrapper.chmod(0o755)
    real.environment["HERALD_CLAUDE"] = str(wrapper)
    assert real.run("[[commit a.txt a]]").end["outcome"] == "ok"
    arguments = (real.folder / "argv").read_text()
    assert "--permission-prompts=none" in arguments
    assert "dontAsk" in arguments
    assert "skip-permissions" not in arguments
    assert "bypass" not in arguments


def test_a_cli_that_dies_at_the_start_is_a_crash_with_its_last_words(place: Place) -> None:
    wrapper = place.folder / "claude"
    wrapper.write_text("#!/bin/sh\necho first >&2\necho 'Error: this machine is too old' >&2\nexit 3\n")
    wrapper.chmod(0o755)
    place.environment |= {"HERALD_AGENT": "claude", "HERALD_CLAUDE": str(wrapper)}
    files = place.run("say hi")
    assert files.end["outcome"] == "crash"
    assert files.end["message"] == (
        "The agent crashed: it ended without a result (exit code 3): Error: this machine is too old."
    )


def test_a_line_without_end_is_a_crash_and_does_not_fill_the_memory(place: Place) -> None:
    fake_cli(place, "while True: sys.stdout.write('x' * (1 << 20))")
    files = place.run("say hi")
    assert files.end["outcome"] == "crash"
    assert "longer than 64 MiB" in files.end["message"]


def test_a_line_of_twenty_megabytes_is_read(place: Place) -> None:
    fake_cli(
        place,
        "print(json.dumps({'type': 'result', 'subtype': 'success', 'is_error': False, 'result': 'y' * (20 << 20)}))",
    )
    files = place.run("say hi")
    assert files.end["outcome"] == "ok"
    note = "\n[cut here: of an answer at most 8 MiB are handed on]"
    assert files.text == "y" * ((8 << 20) - len(note)) + note


@pytest.mark.parametrize(
    "line", ["no json", "[1, 2]", "null", '{"type": 5}', '{"type":"assistant","message":[]}', "[" * 100_000]
)
def test_strange_lines_are_passed_over(place: Place, line: str) -> None:
    good = '{"type":"result","subtype":"success","is_error":false,"result":"fine","permission_denials":7}'
    fake_cli(place, f"print({line!r})\nprint({good!r}, flush=True)\nsys.stdin.read()")
    files = place.run("say hi")
    assert files.end["outcome"] == "ok"
    assert files.text == "fine"


def test_several_results_count_together(place: Place) -> None:
    result = {"type": "result", "subtype": "success", "is_error": False, "num_turns": 1}
    used = {"model-a": {"costUSD": 0.5, "inputTokens": 10, "outputTokens": 1}}
    script = f"result = {result!r}\nused = {used!r}\n"
    for word in ("first", "second"):
        script += f"print(json.dumps(dict(result, result={word!r}, model_usage_since_last_result=used)), flush=True)\n"
    fake_cli(place, script + "sys.stdin.read()")
    files = place.run("say hi")
    assert files.text == "first\n\nsecond"
    assert files.end["cost_usd"] == 1.0
    assert files.end["turns"] == 2
    assert files.end["usage"]["input_tokens"] == 20


def test_progress_comes_at_most_twice_a_second(place: Place) -> None:
    say = "print(json.dumps({'type':'assistant','message':{'content':[{'type':'text','text':str(n)}]}}), flush=True)"
    fake_cli(place, f"for n in range(500): {say}\nsys.stdin.readline()")
    files = place.run("say hi")
    assert 1 <= len(files.progress) <= 2 + 2 * files.end["duration"]
