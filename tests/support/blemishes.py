"""Histories that git's check complains about: one blemish each, in an old commit that the branch has left behind.

Objects are written as they are, with the hash that they have: `git hash-object` would refuse some of them.
"""

import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path

from tests.support.repositories import git

AUTHOR = "Ada <ada@example.org> 1100000000 +0000"


class Store:
    """Writes objects of any content into a repository."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._sha256 = git(repository, "rev-parse", "--show-object-format") == "sha256"
        self._objects = Path(git(repository, "rev-parse", "--absolute-git-dir")) / "objects"

    @property
    def absent(self) -> str:
        """The hash that stands for no object."""
        return "0" * (64 if self._sha256 else 40)

    def write(self, kind: str, data: bytes) -> str:
        """Write an object; returns its hash."""
        whole = f"{kind} {len(data)}\0".encode() + data
        value = (hashlib.sha256 if self._sha256 else hashlib.sha1)(whole).hexdigest()
        path = self._objects / value[:2] / value[2:]
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            path.write_bytes(zlib.compress(whole))
        return value

    def blob(self, data: bytes = b"content\n") -> str:
        """Write a blob."""
        return self.write("blob", data)

    def tree(self, *entries: tuple[str, str, str]) -> str:
        """Write a tree of (mode, name, hash), taken as they are."""
        lines = (f"{mode} {name}\0".encode() + bytes.fromhex(value) for mode, name, value in entries)
        return self.write("tree", b"".join(lines))

    def commit(
        self,
        tree: str,
        *parents: str,
        author: str = AUTHOR,
        more: str = "",
        message: bytes = b"Work\n",
        lines: str = "",
    ) -> str:
        """Write a commit; `lines` replaces all that stands before the message."""
        above = "".join(f"parent {each}\n" for each in parents)
        head = lines or f"tree {tree}\n{above}author {author}\n{more}committer {AUTHOR}\n"
        return self.write("commit", head.encode() + b"\n" + message)


def _author(text: str) -> Callable[[Store], str]:
    return lambda store: store.commit(store.tree(("100644", "a", store.blob())), author=text)


def _tree(*entries: tuple[str, str]) -> Callable[[Store], str]:
    """A commit whose tree has these modes and names."""

    def make(store: Store) -> str:
        inner = store.tree(("100644", "a", store.blob()))
        values = [(mode, name, inner if mode.endswith("40000") else store.blob()) for mode, name in entries]
        return store.commit(store.tree(*values))

    return make


def _file(name: str, data: bytes) -> Callable[[Store], str]:
    return lambda store: store.commit(store.tree(("100644", name, store.blob(data))))


def _modules(text: str) -> Callable[[Store], str]:
    return _file(".gitmodules", f'[submodule "x"]\n\tpath = x\n\turl = ./x\n{text}'.encode())


def _lines(text: str) -> Callable[[Store], str]:
    """A commit whose header is this text; `{tree}` stands for a tree."""
    return lambda store: store.commit("", lines=text.format(tree=store.tree(("100644", "a", store.blob()))))


HARMLESS: dict[str, Callable[[Store], str]] = {
    "badDate": _author("Ada <ada@example.org> <ada@home> 1100000000 +0000"),
    "badDateOverflow": _author("Ada <ada@example.org> 99999999999999999999999 +0000"),
    "badEmail": _author("Ada <ada@example.org 1100000000 +0000"),
    "badFilemode": _tree(("100664", "a")),
    "badName": _author("Ada> <ada@example.org> 1100000000 +0000"),
    "badTimezone": _author("Ada <ada@example.org> 1100000000 +051800"),
    "duplicateEntries": _tree(("100644", "a"), ("100644", "a")),
    "gitignoreSymlink": _tree(("120000", ".gitignore")),
    "mailmapSymlink": _tree(("120000", ".mailmap")),
    "missingAuthor": _lines(f"tree {{tree}}\ncommitter {AUTHOR}\n"),
    "missingCommitter": _lines(f"tree {{tree}}\nauthor {AUTHOR}\n"),
    "missingEmail": _author("Ada 1100000000 +0000"),
    "missingNameBeforeEmail": _author("<ada@example.org> 1100000000 +0000"),
    "missingSpaceBeforeDate": _author("Ada <ada@example.org>1100000000 +0000"),
    "missingSpaceBeforeEmail": _author("Ada<ada@example.org> 1100000000 +0000"),
    "multipleAuthors": lambda store: store.commit(store.tree(("100644", "a", store.blob())), more=f"author {AUTHOR}\n"),
    "nulInCommit": lambda store: store.commit(store.tree(("100644", "a", store.blob())), message=b"A\0B\n"),
    "nullSha1": lambda store: store.commit(store.tree(("160000", "module", store.absent))),
    "treeNotSorted": _tree(("100644", "b"), ("100644", "a")),
    "zeroPaddedDate": _author("Ada <ada@example.org> 01100000000 +0000"),
    "zeroPaddedFilemode": _tree(("040000", "folder")),
}
"""Blemishes of real public histories: id of the message, and what makes an old commit that has it."""

PROTECTING: dict[str, Callable[[Store], str]] = {
    "fullPathname": _tree(("100644", "a/b")),
    "gitattributesBlob": _tree(("40000", ".gitattributes")),
    "gitattributesLineLength": _file(".gitattributes", b"a " + b"x" * 3000 + b"\n"),
    "gitattributesLarge": _file(".gitattributes", b"a text\n" * 15_000_000),
    "gitmodulesBlob": _tree(("40000", ".gitmodules")),
    "gitmodulesName": _file(".gitmodules", b'[submodule "../x"]\n\tpath = x\n\turl = ./x\n'),
    "gitmodulesPath": _modules('[submodule "y"]\n\tpath = -y\n'),
    "gitmodulesSymlink": _tree(("120000", ".gitmodules")),
    "gitmodulesUpdate": _modules("\tupdate = !id\n"),
    "gitmodulesUrl": _modules('[submodule "y"]\n\turl = -u./y\n'),
    "hasDot": _tree(("40000", ".")),
    "hasDotdot": _tree(("40000", "..")),
    "hasDotgit": _tree(("40000", ".GIT")),
}
"""What a checkout or a command of git would act on."""

UNDEMOTABLE: dict[str, Callable[[Store], str]] = {
    "nulInHeader": _author("Ada\0 <ada@example.org> 1100000000 +0000"),
    "unterminatedHeader": lambda store: store.write("commit", b"tree "),
}
"""What git refuses whatever it is told."""

UNUSABLE: dict[str, Callable[[Store], str]] = {
    "emptyName": _tree(("100644", "")),
    "badTree": lambda store: store.commit(store.write("tree", b"100644 a\0short")),
    "badTreeSha1": _lines(f"tree xyz\nauthor {AUTHOR}\ncommitter {AUTHOR}\n"),
    "badParentSha1": _lines(f"tree {{tree}}\nparent xyz\nauthor {AUTHOR}\ncommitter {AUTHOR}\n"),
    "missingTree": _lines(f"author {AUTHOR}\ncommitter {AUTHOR}\n"),
}
"""What git itself cannot walk over, whether or not its check is told to ignore it."""


def history(repository: Path, make: Callable[[Store], str], ref: str = "refs/heads/main") -> str:
    """Give a repository a history whose first commit has a blemish, and the last has not; returns its head."""
    store = Store(repository)
    old = make(store)
    tree = store.tree(("100644", "README.md", store.blob(b"A sample.\n")))
    head = store.commit(tree, store.commit(tree, old))
    git(repository, "update-ref", ref, head)
    return head
