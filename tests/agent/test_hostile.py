"""A workspace that wants to run things: Herald's own git calls obey none of it."""

from pathlib import Path

from tests.agent.place import Place, git

FILTERS = {"clean", "smudge"}
"""Filters are how a project stores its files (git-lfs is one); they run in the agent's own process tree."""


HOOKS = [
    "pre-commit",
    "commit-msg",
    "prepare-commit-msg",
    "post-commit",
    "post-checkout",
    "post-index-change",
    "reference-transaction",
    "post-rewrite",
    "pre-auto-gc",
    "fsmonitor-watchman",
]


def make_hostile(clone: Path, witness: Path) -> None:
    """Everything by which a repository can run a program: each would append its name to `witness`."""
    for hook in HOOKS:
        file = clone / ".git/hooks" / hook
        file.write_text(f"#!/bin/sh\necho {hook} >> {witness}\n")
        file.chmod(0o755)
    included = clone / ".git/included"
    included.write_text(f"[core]\n\tpager = echo pager >> {witness}\n")
    programs = ("core.fsmonitor", "core.sshCommand", "core.editor", "core.askPass", "core.alternateRefsCommand")
    drivers = ("diff.external", "diff.evil.textconv", "diff.evil.command", "merge.evil.driver", "gpg.program")
    settings = {name: f"sh -c 'echo {name} >> {witness}; cat'" for name in (*programs, *drivers)}
    settings |= {f"filter.evil.{name}": f"sh -c 'echo {name} >> {witness}; cat'" for name in FILTERS}
    settings |= {"core.hooksPath": str(clone / ".git/hooks"), "include.path": str(included), "commit.gpgSign": "true"}
    for name, value in settings.items():
        git(clone, "config", name, value)
    (clone / ".git/info/attributes").write_text("* diff=evil filter=evil merge=evil\n")


def obeyed(witness: Path) -> set[str]:
    return set(witness.read_text().split()) - FILTERS if witness.exists() else set()


def test_nothing_of_a_hostile_clone_is_obeyed_in_any_act(place: Place, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    make_hostile(place.clone, witness)
    witness.unlink(missing_ok=True)
    files = place.run("create a.txt: a")
    assert files.end["outcome"] == "ok"
    assert place.call("Discard", branch="agent/pounce-1", head=files.end["head"])["parameters"]["removed"] is True
    place.configure(workspace="path")
    (place.clone / ".git/info/attributes").unlink()
    git(place.clone, "-c", "core.fsmonitor=false", "checkout", "--quiet", "--", ".")
    witness.unlink(missing_ok=True)
    second = place.run("create b.txt: b")
    assert second.end["outcome"] == "ok", second.end
    assert "error" not in place.call("Prepare", have=[])
    assert place.call("Discard", branch="agent/pounce-2", head=second.end["head"])["parameters"]["removed"] is True
    assert obeyed(witness) == set()


def test_what_the_agent_hides_in_the_clone_is_not_obeyed_at_the_end(place: Place, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    command = (
        f"git config core.fsmonitor 'echo fsmonitor >> {witness}' && "
        f"printf '#!/bin/sh\\necho hook >> {witness}\\n' > .git/hooks/pre-commit && chmod +x .git/hooks/pre-commit && "
        f"git config commit.gpgSign true && git config gpg.program 'echo gpg >> {witness}'; "
        "echo left > left.txt"
    )
    files = place.run(f"shell {command}")
    assert files.end["outcome"] == "ok"
    assert files.end["commits"] == 1
    assert obeyed(witness) == set()


def test_a_pointer_to_another_repository_does_not_reach_it(place: Place, tmp_path: Path) -> None:
    other = tmp_path / "other"
    git(tmp_path, "init", "--quiet", str(other))
    (other / "f").write_text("f")
    git(other, "add", "f")
    git(other, "commit", "--quiet", "-m", "F")
    files = place.run(f"shell rm -rf .git; echo 'gitdir: {other}/.git' > .git; echo mine > mine.txt")
    assert files.end["commits"] == 1
    assert place.show("agent/pounce-1", "mine.txt") == "mine"
    assert git(other, "log", "--format=%s", "--all") == "F"
    assert git(other, "status", "--porcelain") == ""


def test_symbolic_links_in_the_state_folder_are_not_followed(place: Place, tmp_path: Path) -> None:
    locks = place.state / "agent/locks"
    locks.mkdir(parents=True)
    (locks / "pounce").symlink_to(tmp_path / "elsewhere")
    instance, files = place.start("say hi")
    assert "error" in instance.receive()
    instance.wait()
    assert files.read("lock") == ""
    assert not (tmp_path / "elsewhere").exists()
