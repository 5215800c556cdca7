"""Builders of real git repositories for tests: remotes that count, clones, hostile workspaces, crafted packs."""

import hashlib
import os
import shlex
import struct
import subprocess
import zlib
from collections.abc import Iterable
from pathlib import Path

from herald.snapshot import EMPTY, Project, encode

ABSENT = "0" * 40
_IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


def environment() -> dict[str, str]:
    """The environment of git in tests: an identity, and nothing of the machine's or the developer's configuration."""
    plain = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "LC_ALL": "C", "HOME": "/nonexistent"}
    return {"PATH": os.environ["PATH"]} | plain | _IDENTITY


def git(folder: Path, *arguments: str, stdin: bytes = b"") -> str:
    """Run git in a folder; returns what it printed, without the newline at the end."""
    return git_bytes(folder, *arguments, stdin=stdin).decode().rstrip("\n")


def git_bytes(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """Run git in a folder; returns the bytes it printed."""
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment(), input=stdin, capture_output=True)
    assert done.returncode == 0, f"git {arguments}: {done.stderr.decode()}"
    return done.stdout


class Remote:
    """A bare repository with an update hook that counts, and hooks that wait or refuse on request."""

    def __init__(self, path: Path, object_format: str = "sha1") -> None:
        self.path = path
        self._log = path / "updates.log"
        path.mkdir(parents=True)
        git(path, "init", "--quiet", "--bare", "--initial-branch=main", f"--object-format={object_format}", ".")
        self.hook("update", f'echo "$1 $2 $3" >> {shlex.quote(str(self._log))}')

    def hook(self, name: str, script: str) -> None:
        """Write a hook, a shell script."""
        file = self.path / "hooks" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def refuse(self, words: str) -> None:
        """From now on every push is refused with these words."""
        self.hook("pre-receive", f"echo {shlex.quote(words)} >&2; exit 1")

    def accept(self) -> None:
        """Take back `refuse` and `hold`."""
        for name in ("pre-receive", "post-receive"):
            (self.path / "hooks" / name).unlink(missing_ok=True)

    def hold(self, name: str) -> tuple[Path, Path]:
        """A hook waits: it makes the first file when it is reached, and goes on when the second exists."""
        reached, go = self.path / f"{name}.reached", self.path / f"{name}.go"
        words = f"while [ ! -e {shlex.quote(str(go))} ]; do sleep 0.02; done"
        self.hook(name, f": > {shlex.quote(str(reached))}\n{words}")
        return reached, go

    def updates(self) -> list[list[str]]:
        """What the update hook has seen: [ref, old, new] each."""
        return [line.split() for line in self._log.read_text().splitlines()] if self._log.exists() else []

    def heads(self) -> dict[str, str]:
        """Branches and their hashes."""
        lines = git(self.path, "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads").splitlines()
        return dict(line.split(" ") for line in lines)


def remote_with_commit(folder: Path, object_format: str = "sha1") -> Remote:
    """A remote whose branch main has one commit; the clone it came from is `folder/seed`."""
    remote = Remote(folder / "remote.git", object_format)
    seed = folder / "seed"
    seed.mkdir()
    git(seed, "init", "--quiet", "--initial-branch=main", f"--object-format={object_format}", ".")
    git(seed, "remote", "add", "origin", str(remote.path))
    commit(seed, {"README.md": "A sample.\n"}, "Begin")
    git(seed, "push", "--quiet", "origin", "main")
    (remote.path / "updates.log").unlink()
    return remote


def clone(remote: Remote, folder: Path) -> Path:
    """Clone a remote; returns the folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    git(folder.parent, "clone", "--quiet", str(remote.path), str(folder))
    return folder


def commit(folder: Path, files: dict[str, str], message: str = "Change", branch: str = "") -> str:
    """Write files and commit them, on a new branch if one is named; returns the hash."""
    if branch:
        git(folder, "checkout", "--quiet", "-B", branch)
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def pack(folder: Path, head: str, base: str = "") -> bytes:
    """The raw pack of a run: what `head` has beyond `base`, as herald-agent makes it."""
    wanted = f"{head}\n^{base}\n" if base else f"{head}\n"
    return git_bytes(folder, "pack-objects", "--revs", "--thin", "--stdout", "-q", stdin=wanted.encode())


def hostile_settings(repository: Path, witness: Path) -> None:
    """Give a repository (`.git`, or a bare one) all by which one can run programs: each would write to `witness`."""

    def act(name: str) -> str:
        return f"sh -c 'echo {name} >> {witness}; cat'"

    hooks = repository / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("pre-push", "post-checkout", "post-merge", "reference-transaction", "pre-auto-gc", "post-rewrite"):
        (hooks / name).write_text(f"#!/bin/sh\necho {name} >> {witness}\n")
        (hooks / name).chmod(0o755)
    included = repository / "included"
    included.write_text(f'[core]\n\tpager = "{act("pager")}"\n\teditor = "{act("editor")}"\n')
    settings = {
        "core.fsmonitor": act("fsmonitor"),
        "core.sshCommand": act("sshCommand"),
        "core.gitProxy": act("gitProxy"),
        "core.alternateRefsCommand": act("alternateRefs"),
        "credential.helper": f"!{act('credential')}",
        "diff.external": act("external diff"),
        "diff.evil.textconv": act("textconv"),
        "diff.evil.command": act("diff driver"),
        "filter.evil.clean": act("clean"),
        "filter.evil.smudge": act("smudge"),
        "merge.evil.driver": act("merge"),
        "gpg.program": act("gpg"),
        "uploadpack.packObjectsHook": act("packObjectsHook"),
        "remote.origin.uploadpack": act("uploadpack"),
        "remote.origin.receivepack": act("receivepack"),
        "include.path": str(included),
    }
    for name, value in settings.items():
        git(repository, "config", "--file", "config", name, value)
    (repository / "info").mkdir(exist_ok=True)
    (repository / "info" / "attributes").write_text("* diff=evil filter=evil merge=evil\n")


class Crafted:
    """Objects and packs that git itself would not make."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[int, int, bytes]] = {}
        """hash: type, size, compressed content"""

    def blob(self, data: bytes) -> str:
        """A blob; returns its hash."""
        return self._add("blob", 3, data)

    def zeros(self, size: int) -> str:
        """A blob of zero bytes, which needs hardly any room in a pack."""
        block = bytes(1 << 20)
        digest = hashlib.sha1(f"blob {size}\0".encode())
        packer = zlib.compressobj(1)
        packed = []
        for _ in range(size // len(block)):
            digest.update(block)
            packed.append(packer.compress(block))
        packed.append(packer.flush())
        self._objects[digest.hexdigest()] = (3, size, b"".join(packed))
        return digest.hexdigest()

    def copies(self, blob: str, size: int, times: int) -> str:
        """A delta that repeats a blob of zeros of this size, however often, in a few bytes each."""
        total = size * times
        copy = bytes([0x80 | 0x70, size & 0xFF, size >> 8 & 0xFF, size >> 16 & 0xFF])
        delta = _varint(size) + _varint(total) + copy * times
        digest = hashlib.sha1(f"blob {total}\0".encode())
        for _ in range(times):
            digest.update(bytes(size))
        packed = bytes.fromhex(blob) + zlib.compress(delta)
        self._objects[digest.hexdigest()] = (7, len(delta), packed)
        return digest.hexdigest()

    def tree(self, *entries: tuple[str, str, str]) -> str:
        """A tree of (mode, name, hash), taken as they are."""
        data = b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(value) for mode, name, value in entries)
        return self._add("tree", 2, data)

    def commit(self, tree: str, *parents: str, message: str = "Crafted") -> str:
        """A commit; returns its hash."""
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        lines += ["author Eve <eve@example.org> 1700000000 +0000", "committer Eve <eve@example.org> 1700000000 +0000"]
        return self._add("commit", 1, "\n".join([*lines, "", message, ""]).encode())

    def hashes(self) -> list[str]:
        """All objects made so far."""
        return list(self._objects)

    def pack(self, hashes: Iterable[str] | None = None) -> bytes:
        """A pack of these objects, or of all."""
        wanted = list(self._objects) if hashes is None else list(hashes)
        parts = [struct.pack(">4sII", b"PACK", 2, len(wanted))]
        for value in wanted:
            kind, size, packed = self._objects[value]
            parts += [_entry_header(kind, size), packed]
        data = b"".join(parts)
        return data + hashlib.sha1(data).digest()

    def _add(self, word: str, kind: int, data: bytes) -> str:
        value = hashlib.sha1(f"{word} {len(data)}\0".encode() + data).hexdigest()
        self._objects[value] = (kind, len(data), zlib.compress(data))
        return value


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _entry_header(kind: int, size: int) -> bytes:
    first, size = (kind << 4) | (size & 15), size >> 4
    header = bytearray()
    while size:
        header.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    header.append(first)
    return bytes(header)


def project(name: str = "sample", remote: str = "") -> Project:
    """A project as the snapshot has it."""
    return Project(
        name=name,
        display_name=name,
        path=f"/srv/{name}",
        channel="terminal",
        agent_name="Sample",
        enabled=True,
        workspace="own",
        auto_commit=True,
        push_requires_approval=True,
        branch_prefix=f"agent/{name}",
        remote=remote,
    )


def write_snapshot(state: Path, *projects: Project) -> None:
    """Put a snapshot of these projects into force."""
    folder = state / "config"
    folder.mkdir(parents=True, exist_ok=True)
    snapshot = EMPTY._replace(generation=1, projects={each.name: each for each in projects})
    (folder / "snapshot.json").write_bytes(encode(snapshot))
