"""Traits of a person's clone: how it was made, what its settings are, and what lies in it."""

import shutil
from collections.abc import Callable

from tests.support.ground import IGNORED, Ground, together
from tests.support.repositories import git

HOOKS = (
    "applypatch-msg", "commit-msg", "fsmonitor-watchman", "post-applypatch", "post-checkout", "post-commit",
    "post-index-change", "post-merge", "post-rewrite", "post-update", "pre-applypatch", "pre-auto-gc", "pre-commit",
    "pre-merge-commit", "pre-push", "pre-rebase", "pre-receive", "prepare-commit-msg", "push-to-checkout",
    "reference-transaction", "sendemail-validate", "update",
)  # fmt: skip


def failing_hooks(ground: Ground) -> None:
    """Hooks of every kind, each of which fails."""
    ground.cloned()
    for name in HOOKS:
        ground.hook(ground.clone / ".git" / "hooks", name)


def husky(ground: Ground) -> None:
    """core.hooksPath into the tree, whose hooks fail."""
    ground.hook(ground.seed / ".husky", "pre-commit")
    ground.hook(ground.seed / ".husky", "pre-push")
    ground.commit({})
    ground.cloned()
    ground.hook(ground.clone / ".husky" / "_", "pre-commit", '. "$0"')
    git(ground.clone, "config", "core.hooksPath", ".husky")
    (ground.clone / ".husky" / "_" / ".gitignore").write_text("*\n")


def signing_without_a_key(ground: Ground) -> None:
    """Commits are to be signed, and there is nothing to sign with."""
    ground.cloned()
    for name, value in {"commit.gpgSign": "true", "tag.gpgSign": "true", "user.signingKey": "nobody"}.items():
        git(ground.clone, "config", name, value)
    ground.settings_of_person("[commit]\n\tgpgSign = true\n[gpg]\n\tprogram = /nonexistent\n")


def shallow(ground: Ground) -> None:
    """The last commit alone."""
    ground.commit({"a.txt": "1\n"})
    ground.commit({"a.txt": "2\n"})
    ground.cloned("--depth=1", source=f"file://{ground.remote.path}")


def partial(ground: Ground) -> None:
    """Without the content of files that are not checked out."""
    git(ground.remote.path, "config", "uploadpack.allowFilter", "true")
    ground.commit({"a.txt": "1\n"})
    ground.commit({"a.txt": "2\n"})
    ground.cloned("--filter=blob:none", source=f"file://{ground.remote.path}")


def sparse(ground: Ground) -> None:
    """A folder of three."""
    ground.commit({"one/a.txt": "1\n", "two/a.txt": "2\n", "three/a.txt": "3\n"})
    ground.cloned()
    git(ground.clone, "sparse-checkout", "set", "one")


def partial_and_sparse(ground: Ground) -> None:
    """Both, as large repositories are cloned."""
    git(ground.remote.path, "config", "uploadpack.allowFilter", "true")
    ground.commit({"one/a.txt": "1\n", "two/a.txt": "2\n"})
    ground.cloned("--filter=blob:none", "--sparse", source=f"file://{ground.remote.path}")
    git(ground.clone, "sparse-checkout", "set", "one")


def linked_work_tree(ground: Ground) -> None:
    """The project is a further work tree of a clone that is somewhere else."""
    given, main = ground.clone, ground.folder / "the clone itself"
    ground.clone = main
    ground.cloned()
    git(main, "worktree", "add", "--quiet", "-b", "side", str(given))
    ground.clone = given
    ground.watched = [given, main]


def submodule_as_the_project(ground: Ground) -> None:
    """The project is a submodule's folder in another clone."""
    outer, given = ground.folder / "outer", ground.clone
    ground.push()
    outer.mkdir()
    git(outer, "init", "--quiet", ".")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(ground.remote.path), "sample")
    shutil.rmtree(given, ignore_errors=True)
    ground.clone = outer / "sample"
    ground.watched = [outer]


def borrowing(ground: Ground) -> None:
    """The objects are those of another clone."""
    ground.push()
    other = ground.folder / "other"
    git(ground.folder, "clone", "--quiet", "--bare", str(ground.remote.path), str(other))
    ground.commit({"later.txt": "later\n"})
    ground.cloned(f"--reference={other}")
    ground.watched = [ground.clone, other]


def sharing(ground: Ground) -> None:
    """A clone with --shared of a clone, with its own remote set afterwards."""
    ground.push()
    other = ground.folder / "other"
    git(ground.folder, "clone", "--quiet", str(ground.remote.path), str(other))
    git(ground.folder, "clone", "--quiet", "--shared", str(other), str(ground.clone))
    git(ground.clone, "remote", "set-url", "origin", str(ground.remote.path))
    ground.watched = [ground.clone, other]


def git_folder_elsewhere(ground: Ground) -> None:
    """The git folder lies beside the project, and core.worktree leads back."""
    beside = ground.folder / "beside.git"
    ground.cloned(f"--separate-git-dir={beside}")
    git(ground.clone, "config", "core.worktree", str(ground.clone))
    ground.watched = [ground.clone, beside]


def work_tree_elsewhere(ground: Ground) -> None:
    """core.worktree leads to another folder."""
    other = ground.folder / "the files"
    ground.cloned()
    other.mkdir()
    for each in ground.clone.iterdir():
        if each.name != ".git":
            each.rename(other / each.name)
    git(ground.clone, "config", "core.worktree", str(other))
    ground.watched = [ground.clone, other]


def conditional_include(ground: Ground) -> None:
    """Settings that hold in this folder, with what disturbs."""
    ground.cloned()
    more = ground.folder / "more"
    more.write_text("[core]\n\thooksPath = /nonexistent\n[commit]\n\tgpgSign = true\n[user]\n\tname = Work\n")
    ground.settings_of_person(
        f'[includeIf "gitdir:{ground.folder}/"]\n\tpath = {more}\n[includeIf "onbranch:main"]\n\tpath = {more}\n'
    )
    git(ground.clone, "config", f"includeIf.gitdir:{ground.folder}/.path", str(more))


def split_index(ground: Ground) -> None:
    """An index in two files."""
    ground.cloned()
    git(ground.clone, "config", "core.splitIndex", "true")
    git(ground.clone, "update-index", "--split-index")


def watched_by_git(ground: Ground) -> None:
    """An untracked cache, git's own file watcher asked for, an index of version 4, the commit graph and a bitmap."""
    ground.cloned()
    settings = {
        "core.untrackedCache": "true",
        "core.fsmonitor": "/nonexistent",
        "feature.manyFiles": "true",
        "index.version": "4",
    }
    for name, value in settings.items():
        git(ground.clone, "config", name, value)
    git(ground.clone, "update-index", "--index-version=4")
    git(ground.clone, "repack", "-adbq")
    git(ground.clone, "commit-graph", "write", "--reachable")
    git(ground.clone, "multi-pack-index", "write")


def in_the_middle_of_work(ground: Ground) -> None:
    """Changes staged and not, a stash, a HEAD that is no branch, an untracked file."""
    ground.commit({"a.txt": "1\n"})
    ground.cloned()
    clone = ground.clone
    (clone / "a.txt").write_text("stashed\n")
    git(clone, "stash", "--quiet")
    git(clone, "checkout", "--quiet", "--detach")
    (clone / "a.txt").write_text("staged\n")
    git(clone, "add", "a.txt")
    (clone / "a.txt").write_text("half done\n")
    (clone / "new.txt").write_text("untracked\n")
    git(clone, "branch", "mine")


def detached_with_a_stash(ground: Ground) -> None:
    """A HEAD that is no branch, a stash, an untracked file; nothing is changed."""
    ground.commit({"a.txt": "1\n"})
    ground.cloned()
    (ground.clone / "a.txt").write_text("stashed\n")
    git(ground.clone, "stash", "--quiet")
    git(ground.clone, "checkout", "--quiet", "--detach")
    (ground.clone / "new.txt").write_text("untracked\n")


def rebase_in_progress(ground: Ground) -> None:
    """Stopped in the middle."""
    ground.cloned()
    git(ground.clone, "commit", "--quiet", "--allow-empty", "-m", "Mine")
    git(ground.clone, "-c", "sequence.editor=sed -i s/^pick/break\\\\n\\&/", "rebase", "--quiet", "-i", "HEAD~1")


def ignored_files(ground: Ground) -> None:
    """Secrets and results that only this clone has."""
    ground.cloned()
    ground.write({".env": "KEY=1\n", f"{IGNORED}/mine": "1\n"}, ground.clone)


def pushed_elsewhere(ground: Ground) -> None:
    """A fork takes what is pushed."""
    ground.cloned()
    ground.pushed_to = ground.another("fork.git")
    git(ground.clone, "remote", "set-url", "--push", "origin", "../fork.git")


def pushing_disabled(ground: Ground) -> None:
    """A push URL that is none."""
    ground.cloned()
    git(ground.clone, "remote", "set-url", "--push", "origin", "DISABLED")


def another_address(ground: Ground) -> None:
    """The address is short for another one, by the clone's and by the person's configuration."""
    ground.cloned()
    git(ground.clone, "remote", "set-url", "origin", "mine:sample.git")
    git(ground.clone, "config", "url.theirs:.insteadOf", "nobody:")
    ground.settings_of_person(f'[url "{ground.remote.path}"]\n\tinsteadOf = mine:sample.git\n')


def another_name_of_the_remote(ground: Ground) -> None:
    """The only remote is called upstream."""
    ground.cloned()
    git(ground.clone, "remote", "rename", "origin", "upstream")


def unborn_branch(ground: Ground) -> None:
    """Somebody began a branch without a history and has not committed yet."""
    ground.cloned()
    git(ground.clone, "checkout", "--quiet", "--orphan", "fresh")
    git(ground.clone, "rm", "--quiet", "-rf", "--cached", ".")
    for each in ("README.md", ".gitignore"):
        (ground.clone / each).unlink()


def notes_and_replacements(ground: Ground) -> None:
    """git notes, and a commit that git shows in place of the base."""
    ground.commit({"a.txt": "1\n"})
    ground.cloned()
    git(ground.clone, "notes", "add", "-m", "A note")
    other = git(ground.clone, "commit-tree", "HEAD~1^{tree}", "-m", "Replaced")
    git(ground.clone, "replace", "HEAD", other)


def a_bare_repository(ground: Ground) -> None:
    """No files, only what git has."""
    ground.cloned("--bare")


def an_odd_folder(ground: Ground) -> None:
    """Blanks, umlauts, quotes in the path of the project."""
    ground.clone = ground.folder / 'Meine Gr\u00f6\u00dfen, "it\'s" #1' / "sample"
    ground.clone.parent.mkdir()
    ground.watched = [ground.clone]
    ground.cloned()


def behind_and_ahead(ground: Ground) -> None:
    """On the default branch, with commits that the remote lacks, and without some that it has."""
    ground.cloned()
    git(ground.clone, "commit", "--quiet", "--no-verify", "--allow-empty", "-m", "Mine alone")
    ground.commit({"theirs.txt": "1\n"})
    ground.push()


def flagged_entries(ground: Ground) -> None:
    """Files that git was told not to look at, and that were changed."""
    ground.commit({"local.conf": "1\n", "other.conf": "1\n"})
    ground.cloned()
    git(ground.clone, "update-index", "--skip-worktree", "local.conf")
    git(ground.clone, "update-index", "--assume-unchanged", "other.conf")
    ground.write({"local.conf": "mine\n", "other.conf": "mine\n"}, ground.clone)


CLONES: dict[str, Callable[[Ground], None]] = {
    "failing hooks, replacements, a remote of another name": together(
        notes_and_replacements, another_name_of_the_remote, failing_hooks
    ),
    "no key to sign, a split index, ignored files": together(signing_without_a_key, split_index, ignored_files),
    "husky, caches of git, behind and ahead": together(husky, behind_and_ahead, watched_by_git),
    "a conditional include, flagged entries, pushed elsewhere": together(
        flagged_entries, conditional_include, pushed_elsewhere
    ),
    "shallow": shallow,
    "partial and sparse": partial_and_sparse,
    "a linked work tree": linked_work_tree,
    "a submodule as the project": submodule_as_the_project,
    "borrowing objects": borrowing,
    "sharing objects": sharing,
    "the git folder elsewhere": git_folder_elsewhere,
    "the work tree elsewhere": work_tree_elsewhere,
    "in the middle of work": in_the_middle_of_work,
    "detached with a stash": detached_with_a_stash,
    "a rebase in progress": rebase_in_progress,
    "pushing disabled": pushing_disabled,
    "another address": another_address,
    "an unborn branch": unborn_branch,
    "a bare repository": a_bare_repository,
    "an odd folder": an_odd_folder,
}
