"""What stays in an own workspace from run to run, what is made anew, and what is nobody's work."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.place import Place, git


def said(text: str) -> str:
    """What a command printed, out of the stand-in's answer."""
    return text.partition("model. ")[2]


def committed(place: Place, branch: str) -> list[str]:
    """The files that a branch changes against the base."""
    return git(place.tree, "diff", "--name-only", f"{place.base}...{branch}").splitlines()


def with_base(place: Place, files: dict[str, bytes], **modes: int) -> str:
    """A new commit of the remote's default branch with these files; it becomes the base of runs."""
    for name, data in files.items():
        path = place.clone / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    git(place.clone, "-c", "core.autocrlf=false", "add", "--all", "--force")
    git(place.clone, "commit", "--quiet", "-m", "Base")
    place.base = git(place.clone, "rev-parse", "HEAD")
    return place.base


def test_results_that_git_ignores_are_read_by_the_next_run_and_survive_a_rejection(place: Place) -> None:
    with_base(place, {".gitignore": b"results/\n.venv/\n"})
    first = place.run("shell mkdir results && echo 42 > results/out.csv && echo x > work.txt")
    assert said(place.run("shell cat results/out.csv").text) == "42\n"
    reply = place.call("Discard", branch="agent/pounce-1", head=first.end["head"], base=place.base)["parameters"]
    assert reply == {"removed": True, "reason": "", "ignored": 1}
    assert not (place.workspace / "work.txt").exists()
    assert said(place.run("shell cat results/out.csv").text) == "42\n"
    assert place.call("Reset")["parameters"] == {"reset": True, "set_aside": ""}
    assert said(place.run("shell ls").text) == "README.md\n"


def test_a_virtual_environment_works_in_the_next_run(place: Place) -> None:
    with_base(place, {".gitignore": b".venv/\n"})
    place.run(f"shell {sys.executable} -m venv --without-pip .venv")
    assert said(place.run("shell .venv/bin/python -c 'import sys; print(sys.prefix)'").text).strip() == str(
        place.workspace / ".venv"
    )


def test_tracked_files_are_those_of_the_base_whatever_the_run_before_did_to_the_index(place: Place) -> None:
    with_base(place, {"a.txt": b"base\n", "b.txt": b"base\n"})
    place.configure(auto_commit=True)
    attack = (
        "git update-index --skip-worktree a.txt; git update-index --assume-unchanged b.txt;"
        " echo evil > a.txt; echo evil > b.txt; touch -r README.md a.txt b.txt; git replace HEAD $(git rev-parse HEAD)"
    )
    first = place.run(f"shell {attack}")
    place.call("Discard", branch=first.end["branch"], head=first.end["head"], base=place.base)
    look = "cat a.txt b.txt; git replace -l; git ls-files -v | grep -v ^H"
    assert said(place.run(f"shell {look}").text) == "base\nbase\n"


@pytest.mark.parametrize(
    "attack",
    [
        "git config core.fsmonitor 'touch {witness}; false'",
        "git config core.pager 'touch {witness}'; git config filter.x.smudge 'touch {witness}; cat'",
        "printf '#!/bin/sh\\ntouch {witness}\\n' > .git/hooks/post-checkout; chmod +x .git/hooks/post-checkout",
        "mkdir -p .git/hooks; for h in post-checkout pre-commit; do echo 'touch {witness}' > .git/hooks/$h; done",
        "echo '* filter=x' > .git/info/attributes; git config filter.x.smudge 'touch {witness}; cat'",
        "echo secret.txt > .git/info/exclude",
        "echo /nonexistent > .git/objects/info/alternates",
        "git worktree add -q ../../elsewhere 2>/dev/null; git remote add evil /tmp; git stash; git tag evil",
        "git rev-parse HEAD > .git/shallow",
        "rm -rf .git/objects/pack",
        "git symbolic-ref HEAD refs/heads/nowhere",
        "chmod -R a-w .git; chmod 000 .git/refs",
        "rm -f .git/index; mkdir .git/index",
        "rm -rf .git/refs; ln -s /tmp .git/refs",
    ],
)
def test_what_a_run_does_to_the_repository_is_gone_in_the_next_one(place: Place, tmp_path: Path, attack: str) -> None:
    if os.geteuid() == 0 and attack.startswith("chmod"):
        pytest.skip("root may do everything")
    witness = tmp_path / "witness"
    place.run(f"shell {attack.format(witness=witness)}")
    witness.unlink(missing_ok=True)
    files = place.run("shell echo s > secret.txt; echo n > new.txt; git status --short")
    assert files.end["outcome"] == "ok", files.end
    assert files.end["commits"] == 1
    assert committed(place, files.end["branch"]) == ["new.txt", "secret.txt"]
    assert not witness.exists()
    settings = git(place.workspace, "config", "--local", "--list")
    assert "evil" not in settings
    assert "fsmonitor=false" in settings
    assert not (place.workspace / ".git/hooks").exists()
    assert (place.workspace / ".git/objects/info/alternates").read_text() == f"{place.store}/objects\n"
    git(place.workspace, "fsck", "--full")


def test_changes_of_the_repository_itself_are_told_once_for_each_kind(place: Place) -> None:
    hook = "mkdir -p .git/hooks; echo true > .git/hooks/pre-push"
    first = place.run(f"shell git config core.pager less; {hook}; git config branch.x.merge refs/heads/y")
    assert "The agent changed git's configuration and hooks in the workspace" in first.end["message"]
    second = place.run(f"shell git config core.pager less; {hook}; echo x > x; git stash -qu")
    assert "The agent changed the stash" not in first.end["message"]
    assert second.end["message"].startswith("The agent changed the stash in the workspace")
    assert place.run(f"shell git config core.pager less; {hook}").end["message"] == ""


@pytest.mark.parametrize(
    "command",
    [
        "git checkout -q -b other; git checkout -q -",
        "git config core.hooksPath .husky/_",
        "git config user.name me; true",
    ],
)
def test_what_tools_do_to_a_repository_by_themselves_is_not_told(place: Place, command: str) -> None:
    told = "user.name" in command
    assert ("git's configuration" in place.run(f"shell {command}").end["message"]) == told


def test_what_is_in_the_way_of_a_checkout_is_moved_to_a_kept_folder_and_named(place: Place) -> None:
    with_base(place, {".gitignore": b"data\nout/\nlink\n"})
    place.run("shell echo mine > data; mkdir out; echo mine > out/x; ln -s /tmp link")
    (place.clone / ".gitignore").write_text("")
    with_base(place, {"data/of/them": b"theirs\n", "out": b"theirs\n", "link/file": b"theirs\n"})
    files = place.run("shell cat data/of/them out link/file")
    assert said(files.text) == "theirs\n" * 3
    assert "In the way of the checkout, and moved to" in files.end["message"]
    (kept,) = (place.state / "agent/kept/pounce").iterdir()
    moved = [path for path in kept.rglob("*") if not path.is_dir() or path.is_symlink()]
    assert sorted(str(path.relative_to(kept)) for path in moved) == ["data", "link", "out/x"]
    assert (kept / "data").read_text() == "mine\n"
    assert files.end["commits"] == 0


def test_what_is_in_the_way_with_the_very_content_is_no_news(place: Place) -> None:
    with_base(place, {".gitignore": b"data\n"})
    place.run("shell echo same > data")
    (place.clone / ".gitignore").write_text("")
    with_base(place, {"data": b"same\n"})
    assert place.run("say hi").end["message"] == ""


def test_a_folder_becomes_a_file_and_back_without_anything_being_kept(place: Place) -> None:
    folder = with_base(place, {"thing/one": b"1\n", "thing/two": b"2\n"})
    place.run("say hi")
    git(place.clone, "rm", "--quiet", "-r", "thing")
    with_base(place, {"thing": b"file\n"})
    assert said(place.run("shell cat thing").text) == "file\n"
    assert said(place.run("shell cat thing/one", base=folder).text) == "1\n"
    assert not list((place.state / "agent/kept/pounce").iterdir())


def test_files_that_the_new_base_no_longer_ignores_are_nobodys_work_and_named_once(place: Place) -> None:
    with_base(place, {".gitignore": b"cache/\n"})
    place.run("shell mkdir cache; echo x > cache/x")
    (place.clone / ".gitignore").write_text("")
    with_base(place, {"other": b"1\n"})
    first = place.run("shell echo y > mine; git add --all; git commit -qm All")
    assert committed(place, first.end["branch"]) == ["mine"]
    assert "Not part of the work, because it was there before: cache/" in first.end["message"]
    second = place.run("say hi")
    assert second.end["message"] == ""
    assert (place.workspace / "cache/x").exists()


CRLF = {
    "eol-crlf": (b"*.txt text eol=crlf\n", b"one\r\ntwo\r\n"),
    "eol-crlf-mixed": (b"*.txt text eol=crlf\n", b"one\r\ntwo\n"),
    "eol-lf": (b"*.txt text eol=lf\n", b"one\r\ntwo\r\n"),
    "text": (b"* text\n", b"one\r\ntwo\r\n"),
    "auto": (b"* text=auto\n", b"one\r\ntwo\n"),
    "ident": (b"*.txt ident\n", b"$Id: forged $\n"),
    "missing filter": (b"*.txt filter=missing\n", b"one\n"),
    "encoding": (b"*.txt text working-tree-encoding=UTF-16LE\n", b"one\ntwo\n"),
}


@pytest.mark.parametrize("mode", ["own", "path"])
@pytest.mark.parametrize("case", CRLF)
def test_a_question_makes_no_commit_over_line_endings(place: Place, case: str, mode: str) -> None:
    attributes, content = CRLF[case]
    blob = place.folder / "blob"
    blob.write_bytes(content)
    hashed = git(place.clone, "hash-object", "-w", "--no-filters", str(blob))
    (place.clone / ".gitattributes").write_bytes(attributes)
    git(place.clone, "add", ".gitattributes")
    for name in ("a.txt", "d/b.txt"):
        git(place.clone, "update-index", "--add", "--cacheinfo", f"100644,{hashed},{name}")
    git(place.clone, "commit", "--quiet", "-m", "As it is")
    git(place.clone, "reset", "--quiet", "--hard")
    place.base = git(place.clone, "rev-parse", "HEAD")
    place.configure(workspace=mode)
    for _ in range(2):
        files = place.run("say hi")
        assert (files.end["outcome"], files.end["commits"], files.end["message"]) == ("ok", 0, ""), files.end
    files = place.run("shell echo changed > a.txt; echo new > c.txt")
    assert (files.end["outcome"], files.end["commits"]) == ("ok", 1), files.end
    assert committed(place, files.end["branch"]) == ["a.txt", "c.txt"]


def test_odd_names_are_taken_and_stay_what_they_are(place: Place) -> None:
    names = [
        b"new\nline",
        b"tab\there",
        b'quo"te',
        b"-dash",
        b" lead",
        b"bl ank",
        b"\xff\xfe",
        b"n\xcc\x83",
        b":!x",
        b"*",
    ]
    for name in names:
        Path(os.fsdecode(bytes(place.clone) + b"/" + name)).write_bytes(b"base\n")
    with_base(place, {})
    assert place.run("say hi").end["commits"] == 0
    files = place.run('shell for each in *; do echo more >> "./$each"; done; echo n > "Bl ank"')
    command = ["git", "-C", str(place.tree), "diff", "--name-only", "-z", place.base, files.end["branch"]]
    changed = subprocess.run(command, check=True, capture_output=True).stdout.split(b"\0")[:-1]
    assert sorted(changed) == sorted([*names, b"README.md", b"Bl ank"])
    assert place.run("say hi").end["message"] == ""


def test_files_that_the_project_names_are_copied_when_they_change_and_never_committed(place: Place) -> None:
    place.configure(workspace_files=(".env", "config/local.yml", "none"))
    (place.clone / ".env").write_text("KEY=1\n")
    (place.clone / "config").mkdir()
    (place.clone / "config/local.yml").write_text("a: 1\n")
    files = place.run("shell cat .env config/local.yml; echo changed > .env; git add --all; git commit -qm All")
    assert said(files.text).startswith("KEY=1\na: 1\n")
    assert files.end["commits"] == 0
    assert said(place.run("shell cat .env").text) == "changed\n"
    (place.clone / ".env").write_text("KEY=2\n")
    assert said(place.run("shell cat .env").text) == "KEY=2\n"


def test_a_named_file_that_is_a_link_is_not_copied(place: Place, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret\n")
    (place.clone / ".env").symlink_to(tmp_path / "secret")
    place.configure(workspace_files=(".env",))
    files = place.run("shell cat .env")
    assert ".env of `workspace_files` was not copied" in files.end["message"]
    assert "secret" not in files.text


def test_what_git_ignores_in_the_projects_folder_is_named_once(place: Place) -> None:
    with_base(place, {".gitignore": b".env\nnode_modules/\n"})
    (place.clone / ".env").write_text("KEY=1\n")
    (place.clone / "node_modules").mkdir()
    first = place.run("say hi")
    assert "without what git ignores" in first.end["message"]
    assert ".env, node_modules" in first.end["message"]
    assert place.run("say hi").end["message"] == ""


def test_the_objects_of_a_workspace_are_those_of_its_own_commits(place: Place) -> None:
    with_base(place, {f"f{n}": os.urandom(4000) for n in range(50)})
    place.run("create a.txt: a")
    place.run("create b.txt: b")
    own = sum(path.stat().st_size for path in (place.workspace / ".git/objects").rglob("*") if path.is_file())
    store = sum(path.stat().st_size for path in place.store.rglob("*") if path.is_file())
    assert own < store / 10


def test_a_repository_with_sha256_works_in_an_own_workspace(place: Place) -> None:
    other = place.folder / "sha256"
    git(place.folder, "init", "--quiet", "--object-format=sha256", str(other))
    (other / "a.txt").write_text("a\n")
    git(other, "add", "a.txt")
    git(other, "commit", "--quiet", "-m", "Begin")
    place.clone = other
    place.base = git(other, "rev-parse", "HEAD")
    files = place.run("create b.txt: b")
    assert (files.end["outcome"], files.end["commits"], len(files.end["head"])) == ("ok", 1, 64)
    assert said(place.run("shell cat a.txt", branch="agent/pounce-1", base=files.end["head"]).text) == "a\n"


def test_an_exchange_that_was_cut_off_is_finished_and_loses_no_large_file(place: Place) -> None:
    place.run("create a.txt: a")
    git_folder = place.workspace / ".git"
    (git_folder / "lfs/objects").mkdir(parents=True)
    (git_folder / "lfs/objects/one").write_text("large\n")
    git_folder.rename(place.workspace / ".git.old")
    assert place.run("say hi").end["outcome"] == "ok"
    assert (git_folder / "lfs/objects/one").read_text() == "large\n"
    shutil.copytree(git_folder, place.workspace / ".git.old")
    shutil.rmtree(git_folder / "lfs")
    files = place.run("create b.txt: b")
    assert committed(place, files.end["branch"]) == ["b.txt"]
    assert (git_folder / "lfs/objects/one").read_text() == "large\n"
    assert place.leftovers() == []


def test_the_remotes_default_branch_is_where_it_is_now(place: Place) -> None:
    place.run("say hi", default_branch="main", default_head=place.base)
    with_base(place, {"new.txt": b"new\n"})
    look = "git rev-parse origin/main origin/HEAD"
    files = place.run(f"shell {look}", default_branch="main", default_head=place.base)
    assert said(files.text).split() == [place.base, place.base]
    assert said(place.run(f"shell {look}").text).split() == [place.base, place.base]


@pytest.mark.parametrize("linked", [False, True])
def test_in_try_mode_the_persons_clone_is_read_only_for_the_agent(place: Place, linked: bool) -> None:
    repository = place.clone
    if linked:
        git(place.clone, "worktree", "add", "--quiet", str(place.folder / "linked"))
        repository = place.folder / "linked"
        place.configure(path=str(repository))
    before = {name: state for name, state in place.clone_state().items() if not linked or name.startswith(".git")}
    attack = (
        f"git -C {repository} branch evil; git -C {repository} config user.name evil; touch {repository}/evil;"
        f" rm -rf {repository}/README.md {repository}/.git; echo done"
    )
    assert said(place.run(f"shell {attack}").text) == "done\n"
    after = place.clone_state()
    assert {name: after[name] for name in before} == before
    assert (repository / "README.md").exists()
    assert not (repository / "evil").exists()


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o775])
def test_files_in_a_persons_folder_are_as_open_as_the_folder(place: Place, mode: int) -> None:
    place.configure(workspace="path")
    place.clone.chmod(mode)
    files = place.run("shell echo changed > README.md; echo n > new.txt; chmod 600 README.md; stat -c %a new.txt")
    place.call("Discard", branch=files.end["branch"], head=files.end["head"], base=place.base)
    expected = mode & 0o666
    assert said(files.text) == f"{expected:o}\n"
    assert (place.clone / "README.md").stat().st_mode & 0o777 == expected


@pytest.mark.parametrize("mode", ["own", "path"])
def test_files_that_are_called_as_commits_confuse_nobody(place: Place, mode: str) -> None:
    place.configure(workspace=mode)
    base = with_base(place, {"HEAD": b"1\n", "main": b"2\n"})
    files = place.run("shell touch $(git rev-parse HEAD); git add .; git commit -qm One; touch $(git rev-parse HEAD)")
    assert (files.end["outcome"], files.end["commits"]) == ("ok", 2), files.end
    made = git(place.tree, "rev-parse", f"{files.end['head']}~1")
    assert sorted(committed(place, files.end["branch"])) == sorted([base, made])


def test_a_sparse_checkout_of_the_agent_deletes_nothing(place: Place) -> None:
    with_base(place, {"docs/a": b"a\n", "src/b": b"b\n"})
    files = place.run("shell git sparse-checkout set src; rm src/b; echo c > src/c")
    assert committed(place, files.end["branch"]) == ["src/b", "src/c"]
    assert said(place.run("shell cat docs/a").text) == "a\n"


def test_a_commit_that_a_person_had_replaced_changes_nothing_of_what_an_agent_commits(place: Place) -> None:
    with_base(place, {"a.txt": b"1\n"})
    other = git(place.clone, "commit-tree", "HEAD~1^{tree}", "-m", "Replaced")
    git(place.clone, "replace", "HEAD", other)
    place.configure(workspace="path")
    files = place.run("create one.txt: 1")
    assert files.end["commits"] == 1
    git(place.clone, "replace", "-d", place.base)
    assert committed(place, files.end["branch"]) == ["one.txt"]


def test_a_folder_whose_files_are_elsewhere_is_refused_with_where_they_are(place: Place) -> None:
    (place.folder / "other").mkdir()
    git(place.clone, "config", "core.worktree", str(place.folder / "other"))
    place.configure(workspace="path")
    end = place.run("say hi").end
    assert end["outcome"] == "workspace"
    assert f"the files of {place.clone} are in {place.folder}/other" in end["message"]


def test_files_that_the_project_names_are_copied_again_when_they_are_gone(place: Place) -> None:
    with_base(place, {".gitignore": b".env\n"})
    (place.clone / ".env").write_text("KEY=1\n")
    place.configure(workspace_files=(".env",))
    place.run("shell git clean -qfdx")
    assert said(place.run("shell cat .env; rm .env; mkdir .env").text) == "KEY=1\n"
    assert said(place.run("shell cat .env; rm -rf ../pounce").text) == "KEY=1\n"
    assert said(place.run("shell cat .env").text) == "KEY=1\n"
    shutil.rmtree(place.workspace)
    assert said(place.run("shell cat .env").text) == "KEY=1\n"
