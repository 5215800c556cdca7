"""Traits of histories: what a remote holds before anybody clones it."""

import os
import shutil
from collections.abc import Callable

from tests.support import blemishes
from tests.support.ground import LOCAL, Ground, together
from tests.support.largefiles import pointer_of
from tests.support.repositories import Crafted, git, git_bytes

MANY_FILES = int(os.environ.get("HERALD_TEST_MANY_FILES", "5000"))
MANY_COMMITS = int(os.environ.get("HERALD_TEST_MANY_COMMITS", "20000"))

LARGE_FILES = "*.bin filter=lfs diff=lfs merge=lfs -text\n"


def old_imports(ground: Ground) -> None:
    """Every message of git's check that does no harm, each in an old commit."""
    ground.push()
    store, head = blemishes.Store(ground.remote.path), ground.head
    for make in blemishes.HARMLESS.values():
        tree = git(ground.remote.path, "rev-parse", f"{head}^{{tree}}")
        head = store.commit(tree, head, make(store))
    git(ground.remote.path, "update-ref", f"refs/heads/{ground.branch}", head)
    git(ground.seed, "-c", "fetch.fsckObjects=false", "pull", "--quiet", "origin", ground.branch)


def _library(ground: Ground, name: str, *inner: str) -> None:
    """A remote to be a submodule, with submodules of its own."""
    remote = ground.another(f"{name}.git")
    work = ground.folder / f"work on {name}"
    work.mkdir()
    git(work, "init", "--quiet", "--initial-branch=main", ".")
    git(work, "remote", "add", "origin", str(remote.path))
    (work / "a.c").write_text(f"{name}\n")
    git(work, "add", "a.c")
    git(work, "commit", "--quiet", "-m", "Begin")
    for each in inner:
        git(work, *LOCAL, "submodule", "--quiet", "add", f"../{each}.git", f"in {each}")
        git(work, "commit", "--quiet", "-m", "With a submodule")
    git(work, "push", "--quiet", "origin", "main")


def submodule(ground: Ground) -> None:
    """A submodule that the clone has initialised."""
    _library(ground, "library")
    git(ground.seed, *LOCAL, "submodule", "--quiet", "add", "../library.git", "lib")
    ground.commit({})
    ground.cloned("--recurse-submodules")


def submodule_not_initialised(ground: Ground) -> None:
    """A submodule of which the clone has only the empty folder."""
    _library(ground, "library")
    git(ground.seed, *LOCAL, "submodule", "--quiet", "add", "../library.git", "lib")
    ground.commit({})
    ground.cloned()


def submodules_nested_twice(ground: Ground) -> None:
    """A submodule of a submodule of a submodule."""
    _library(ground, "innermost")
    _library(ground, "inner", "innermost")
    _library(ground, "library", "inner")
    git(ground.seed, *LOCAL, "submodule", "--quiet", "add", "../library.git", "lib")
    ground.commit({})
    ground.cloned("--recurse-submodules")


def large_files(ground: Ground) -> None:
    """A file of git-lfs, of which the clone has the pointer."""
    ground.commit({".gitattributes": LARGE_FILES})
    ground.commit_blobs({"old.bin": pointer_of(b"large\n").encode()})


def large_files_and_submodule(ground: Ground) -> None:
    """Both together."""
    large_files(ground)
    submodule(ground)


def many_files(ground: Ground) -> None:
    """A wide tree."""
    ground.push()
    begin = f"commit refs/heads/{ground.branch}\ncommitter Ada <ada@example.org> 1500000000 +0000\ndata 2\nC\n"
    words = [begin, f"from refs/heads/{ground.branch}^0\n"]
    words += [f"M 644 inline d{n % 100}/f{n}.txt\ndata 7\n{n:06}\n" for n in range(MANY_FILES)]
    _import(ground, "".join(words).encode())


def _import(ground: Ground, commits: bytes) -> None:
    text = b"feature done\n%sdone\n" % commits
    git_bytes(ground.remote.path, "fast-import", "--quiet", "--force", stdin=text)
    git(ground.seed, "pull", "--quiet", "origin", ground.branch)


def many_commits(ground: Ground) -> None:
    """A long history of few trees."""
    ground.push()
    branch = ground.branch.encode()
    words = []
    for n in range(MANY_COMMITS):
        begin = b"from refs/heads/%s^0\n" % branch if n == 0 else b""
        text = b"commit refs/heads/%s\ncommitter Ada <ada@example.org> %d +0000\ndata 2\nC\n%s"
        words.append(text % (branch, 1_500_000_000 + n, begin) + b"M 644 inline count\ndata 2\n%d\n" % (n % 10))
    _import(ground, b"".join(words))


def odd_names(ground: Ground) -> None:
    """What a file can be called."""
    names = [b"new\nline", b"tab\there", b'quo"te', b"-dash", b" lead", b"trail ", b"bl ank", b"\xff\xfe", b":!x", b"*"]
    names += ["caf\u00e9".encode(), "cafe\u0301".encode(), b"back\\slash", b"$(id)", b"a;b", b"HEAD", b"@{1}", b"~"]
    ground.commit({os.fsdecode(b"odd/" + name): name for name in names})
    ground.commit({os.fsdecode(name): name for name in names})


def names_that_differ_in_case(ground: Ground) -> None:
    """Two files, and two folders."""
    ground.commit({"Makefile": "1\n", "makefile": "2\n", "Src/a": "3\n", "src/a": "4\n"})


LINE_ENDS = {
    "eol=crlf": b"*.txt text eol=crlf\n",
    "eol=lf": b"*.txt text eol=lf\n",
    "text": b"* text\n",
    "auto": b"* text=auto\n",
    "none": b"",
    "ident": b"*.txt ident\n",
    "encoding": b"*.txt text working-tree-encoding=UTF-16LE\n",
}


def line_ends(autocrlf: str) -> Callable[[Ground], None]:
    """Files with all ends of lines, under all attributes, and the person's core.autocrlf."""
    files = {
        "crlf.txt": b"one\r\ntwo\r\n",
        "mixed.txt": b"one\r\ntwo\n",
        "lf.txt": b"one\ntwo\n",
        "id.txt": b"$Id: forged $\n",
    }

    def make(ground: Ground) -> None:
        ground.commit({f"{folder}/.gitattributes": attributes for folder, attributes in LINE_ENDS.items()})
        ground.commit_blobs({f"{folder}/{name}": data for folder in LINE_ENDS for name, data in files.items()})
        ground.settings_of_person(f"[core]\n\tautocrlf = {autocrlf}\n")
        ground.cloned(f"--config=core.autocrlf={autocrlf}")

    return make


def filter_that_is_not_idempotent(ground: Ground) -> None:
    """Each time that it cleans a file it adds a line."""
    ground.commit({".gitattributes": "a.txt filter=grows\n"})
    ground.commit_blobs({"a.txt": b"one\n"})
    ground.cloned()
    git(ground.clone, "config", "filter.grows.clean", "cat; echo more")
    git(ground.clone, "config", "filter.grows.smudge", "cat; echo more")
    (ground.clone / "a.txt").unlink()
    git(ground.clone, "checkout", "--quiet", "a.txt")


def filter_that_is_missing(ground: Ground) -> None:
    """The attributes name a filter that only the author has."""
    ground.commit({".gitattributes": "*.txt filter=elsewhere diff=elsewhere merge=elsewhere\n", "a.txt": "one\n"})


def sha256(ground: Ground) -> None:
    """Objects named by SHA-256."""
    ground.begin("sha256")


def empty(ground: Ground) -> None:
    """A remote without a commit, just made at a host."""
    shutil.rmtree(ground.remote.path)
    ground.remote = ground.another("remote.git")
    git(ground.folder, "clone", "--quiet", str(ground.remote.path), str(ground.clone))


def default_branch(name: str) -> Callable[[Ground], None]:
    """A remote whose default branch has this name."""
    return lambda ground: ground.begin(branch=name)


def dangling_head(ground: Ground) -> None:
    """A remote whose HEAD names a branch that was renamed."""
    ground.cloned()
    git(ground.remote.path, "symbolic-ref", "HEAD", "refs/heads/gone")


def tag_named_as_the_branch(ground: Ground) -> None:
    """`main` is a tag, too, of another commit."""
    git(ground.seed, "tag", "main")
    ground.commit({"later.txt": "later\n"})
    git(ground.seed, "push", "--quiet", "origin", "refs/tags/main")


def symbolic_links(ground: Ground) -> None:
    """Dangling, to folders, out of the repository, absolute, in a circle."""
    ground.write({"folder/file": "1\n"})
    links = {"dangling": "nowhere", "to-folder": "folder", "out": "../../..", "absolute": "/etc", "circle": "circle"}
    for name, target in links.items():
        (ground.seed / name).symlink_to(target)
    ground.commit({})


def executable_bits(ground: Ground) -> None:
    """Programs, and a text that is marked as one."""
    ground.write({"run.sh": "#!/bin/sh\n", "notes.txt": "text\n"})
    for name in ("run.sh", "notes.txt"):
        (ground.seed / name).chmod(0o755)
    ground.commit({})


def exported_in_part(ground: Ground) -> None:
    """An archive of it lacks files and has others changed."""
    ground.commit(
        {".gitattributes": "/docs export-ignore\nversion export-subst\n", "docs/a": "1\n", "version": "$Format:%H$\n"}
    )


def very_long_paths(ground: Ground) -> None:
    """Near to what a file system takes of a name, and beyond what many a program takes of a path."""
    ground.commit({"/".join(["d" * 200] * 9) + "/file": "deep\n", "n" * 250: "long\n"})


def a_large_blob(ground: Ground) -> None:
    """Twenty megabytes that cannot be compressed."""
    ground.commit({"large": os.urandom(20 << 20)})


def a_branch_in_the_way(ground: Ground) -> None:
    """The remote has a branch `agent`, so that `agent/...` cannot be made there."""
    ground.push()
    git(ground.seed, "push", "--quiet", "origin", "HEAD:refs/heads/agent")


def a_file_that_becomes_a_folder(ground: Ground) -> None:
    """The base after the clone has it the other way round, twice."""
    ground.commit({"one": "file\n", "two/a": "1\n", "two/b": "2\n"})
    ground.cloned()
    (ground.seed / "one").unlink()
    shutil.rmtree(ground.seed / "two")
    ground.commit({"one/a": "1\n", "two": "file\n"})
    ground.push()


def unusual_objects(ground: Ground) -> None:
    """An octopus, a commit without a message, an empty tree, a tag of a tag, a name that is not UTF-8."""
    crafted = Crafted()
    branches = [git(ground.seed, "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", str(n)) for n in range(5)]
    parents = [part for each in branches for part in ("-p", each)]
    git(ground.seed, "reset", "--quiet", "--hard", git(ground.seed, "commit-tree", "HEAD^{tree}", *parents, stdin=b""))
    git(ground.seed, "-c", "i18n.commitEncoding=ISO-8859-1", "commit", "--quiet", "--allow-empty", "-m", "caf\udce9")
    git(ground.seed, "unpack-objects", "-q", stdin=_empty_tree_pack(crafted))
    git(ground.seed, "tag", "-am", "inner", "inner")
    git(ground.seed, "tag", "-am", "outer", "outer", "inner")
    git(ground.seed, "push", "--quiet", "--tags", "origin")


def _empty_tree_pack(crafted: Crafted) -> bytes:
    crafted.tree()
    return crafted.pack()


def vendored_repository(ground: Ground) -> None:
    """A gitlink that no .gitmodules names: somebody added a clone inside of the clone."""
    inner = ground.seed / "vendored"
    inner.mkdir()
    git(inner, "init", "--quiet", ".")
    (inner / "a").write_text("1\n")
    git(inner, "add", "a")
    git(inner, "commit", "--quiet", "-m", "Inner")
    ground.commit({})


HISTORIES: dict[str, Callable[[Ground], None]] = {
    "old imports": old_imports,
    "a submodule": submodule,
    "a submodule not initialised": submodule_not_initialised,
    "submodules nested twice": submodules_nested_twice,
    "a vendored repository": vendored_repository,
    "git-lfs": large_files,
    "git-lfs and a submodule": large_files_and_submodule,
    "many files": many_files,
    "many commits": many_commits,
    **{f"line ends with autocrlf {how}": line_ends(how) for how in ("false", "true", "input")},
    "odd names and very long paths": together(odd_names, very_long_paths),
    "links, bits and names that differ in case": together(symbolic_links, executable_bits, names_that_differ_in_case),
    "a large blob, unusual objects, parts not exported": together(a_large_blob, unusual_objects, exported_in_part),
    "a filter that is not idempotent": filter_that_is_not_idempotent,
    "a filter that is missing": filter_that_is_missing,
    "sha256": sha256,
    "an empty remote": empty,
    "default branch master": default_branch("master"),
    "default branch 3.x": default_branch("3.x"),
    "default branch release/1.0": default_branch("release/1.0"),
    "a dangling HEAD": dangling_head,
    "a tag named as the branch": tag_named_as_the_branch,
    "a branch in the way": a_branch_in_the_way,
    "a file that becomes a folder": a_file_that_becomes_a_folder,
}

NEEDS_LARGE_FILES = {name for name in HISTORIES if "git-lfs" in name}


def has_large_files() -> bool:
    """Whether git-lfs is installed."""
    return shutil.which("git-lfs") is not None
