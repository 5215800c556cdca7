"""Remotes over ssh and https: what reaches git's environment, and what a refusal is told as."""

import shutil
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from herald.errors import Conflict, Failed, HeraldError, Unavailable
from herald_git import remote
from herald_git.remote import Remote
from tests.git.conftest import Workbench
from tests.support import repositories

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A listener that accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept = []

        def accept() -> None:
            while True:
                try:
                    kept.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in kept:
            connection.close()


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:{}/o/n.git", pytest.param("ssh://git@127.0.0.1:{}/o/n.git", marks=needs_ssh)]
)
def test_a_remote_that_hangs_is_unavailable_within_the_deadline(bench: Workbench, silent_port: int, url: str) -> None:
    bench.configure(url.format(silent_port))
    started = time.monotonic()
    with pytest.raises(Unavailable):
        bench.fetch(HERALD_GIT_DEADLINE="1")
    with pytest.raises(Unavailable):
        bench.push("1" * 40, HERALD_GIT_DEADLINE="1")
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:1/o/n.git",
        pytest.param("ssh://git@127.0.0.1:1/o/n.git", marks=needs_ssh),
        pytest.param("git@host.invalid:o/n", marks=needs_ssh),
    ],
)
def test_a_remote_that_is_not_there_is_unavailable(bench: Workbench, url: str) -> None:
    bench.configure(url)
    with pytest.raises(Unavailable, match="does not answer"):
        bench.fetch()


NO_READ = "\nfatal: Could not read from remote repository."
WORDS = [
    ("https://github.com/o/n", "fatal: could not read Username for ...", Failed, "git@github.com:o/n.git"),
    ("https://u:p4ss@git.x.org:8443/a/b/c.git", "fatal: Authentication failed", Failed, "git@git.x.org:a/b/c.git"),
    ("https://p4ss@x.org/o/n", "fatal: Authentication failed for 'https://p4ss@x.org/'", Failed, "git@x.org:o/n.git"),
    ("git@h:o/n", f"git@h: Permission denied (publickey).{NO_READ}", Failed, "sudo ssh-keygen"),
    ("git@h:o/n", "ERROR: The key you are authenticating with has been marked as read only.", Failed, "write access"),
    ("git@h:o/n", f"ERROR: Repository not found.{NO_READ}", Failed, "git.remote"),
    ("git@h:o/n", f"Host key verification failed.{NO_READ}", Failed, "known_hosts"),
    ("git@h:o/n", "error: cannot run ssh: No such file or directory", Failed, "apt install openssh-client"),
    ("/srv/x.git", "fatal: detected dubious ownership in repository at '/srv/x.git'", Failed, "chown"),
    ("git@h:o/n", "ssh: Could not resolve hostname h: Temporary failure in name resolution", Unavailable, "answer"),
    ("git@h:o/n", "ssh: connect to host h port 22: Connection timed out", Unavailable, "does not answer"),
    ("https://h/o/n", "fatal: unable to access '...': The requested URL returned error: 503", Unavailable, "503"),
    ("https://h/o/n", "fatal: repository 'https://h/o/n/' not found", Failed, "git.remote"),
    ("git@h:o/n", "remote: Internal error\nfatal: the remote end hung up unexpectedly", Unavailable, "Internal error"),
    ("git@h:o/n", "fatal: write error: No space left on device\nfatal: early EOF", Unavailable, "disk of herald-git"),
]


@pytest.mark.parametrize(("url", "words", "kind", "advice"), WORDS)
def test_words_of_git_become_an_advice(url: str, words: str, kind: type[HeraldError], advice: str) -> None:
    refusal = Remote("sample", url).refusal(words)
    assert refusal is not None
    assert type(refusal) is kind
    assert advice in refusal.message
    assert "p4ss" not in refusal.message


@pytest.mark.parametrize(
    "words",
    [
        "error: inflate: data stream error (incorrect header check)\nfatal: the remote end hung up unexpectedly",
        "fatal: bad object refs/remotes/origin/main\nfatal: early EOF",
        "error: cannot lock ref: Unable to create '/x/main.lock': File exists",
    ],
)
def test_a_fault_of_the_own_repository_is_not_blamed_on_the_remote(words: str) -> None:
    assert Remote("sample", "git@h:o/n").refusal(words) is None


def test_ssh_asks_nobody_and_uses_the_credential_alone(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = bench.folder / "with blank"
    credentials.mkdir()
    (credentials / "git_ssh_key").write_text("key")
    monkeypatch.setenv("HERALD_STATE", str(bench.state))
    monkeypatch.setenv("HERALD_MODE", "system")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    monkeypatch.setenv("SSH_AUTH_SOCK", "/the/caller's")
    monkeypatch.setenv("GIT_DIR", "/somewhere/else")
    monkeypatch.setenv("GIT_SSH", "/bin/evil")
    variables = Remote("sample", "git@h:o/n").environment()
    command = variables["GIT_SSH_COMMAND"]
    for option in ("BatchMode=yes", "ConnectTimeout=10", "StrictHostKeyChecking=accept-new", "IdentitiesOnly=yes"):
        assert f"-o {option}" in command
    assert f"-i '{credentials}/git_ssh_key'" in command
    assert variables["GIT_ALLOW_PROTOCOL"] == "ssh:https"
    assert variables["GIT_TERMINAL_PROMPT"] == "0"
    assert not {"SSH_AUTH_SOCK", "GIT_DIR", "GIT_SSH", "GIT_ASKPASS"} & set(variables)


@pytest.mark.parametrize("content", [None, "", "\n", " \n\t\n"])
def test_a_blank_key_is_none(bench: Workbench, monkeypatch: pytest.MonkeyPatch, content: str | None) -> None:
    if content is not None:
        (bench.folder / "git_ssh_key").write_text(content)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(bench.folder))
    assert "-i" not in Remote("sample", "git@h:o/n").environment()["GIT_SSH_COMMAND"].split()


def test_who_has_no_key_is_told_how_to_make_one_and_who_has_one_where_its_half_goes(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = f"git@h: Permission denied (publickey).{NO_READ}"

    def advice() -> str:
        refusal = Remote("sample", "git@h:o/n").refusal(words)
        assert refusal is not None
        return refusal.message

    (bench.folder / "git_ssh_key").write_text("\n")
    monkeypatch.setenv("HERALD_MODE", "system")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(bench.folder))
    assert "ssh-keygen -t ed25519 -N '' -C herald -f /etc/herald/credentials/git_ssh_key`" in advice()
    assert "no restart is needed" in advice()
    (bench.folder / "git_ssh_key").write_text("key")
    assert (
        "refused the key /etc/herald/credentials/git_ssh_key; add /etc/herald/credentials/git_ssh_key.pub" in advice()
    )
    monkeypatch.setenv("HERALD_MODE", "user")
    assert "your ssh key" in advice()


def test_in_try_mode_the_caller_s_own_ssh_holds(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERALD_MODE", "try")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/the/agent")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    variables = Remote("sample", "/srv/x.git").environment()
    assert variables["GIT_SSH_COMMAND"].startswith("ssh -o BatchMode=yes")
    assert "known_hosts" not in variables["GIT_SSH_COMMAND"].lower()
    assert variables["SSH_AUTH_SOCK"] == "/the/agent"
    assert variables["GIT_ALLOW_PROTOCOL"] == "ssh:https:file"


def test_a_project_without_remote_is_a_conflict() -> None:
    with pytest.raises(Conflict):
        remote.of_project(repositories.project(remote=""))
