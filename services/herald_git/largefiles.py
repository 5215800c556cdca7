"""Large files that git-lfs keeps outside the repository: fetched one by one, and pushed before a branch needs them.

git-lfs talks to the server, in a repository of its own that is made for one act, with nothing in it but the pointers
that are wanted. Where the remote is a folder of this machine no server is needed: Herald copies.

Which server is asked follows from the remote's URL, or is the key `git.lfs.url`. What a tree says about it
(`.lfsconfig`) is followed only once a person has set that key to it.
"""

import contextlib
import os
import re
import shutil
from typing import Any, NamedTuple

from herald import journal, largefiles, names, snapshot
from herald.bus.oneshot import Call
from herald.errors import Conflict, Failed, HeraldError, Invalid, NotFound, Unavailable
from herald.largefiles import Pointer
from herald.snapshot import Project
from herald_git import advertisement, command, folderstore, remote, repository
from herald_git.arguments import checked_hash
from herald_git.command import Outcome
from herald_git.remote import Remote
from herald_git.repository import Repository

_LONGEST = 3300.0
"""Seconds, a little less than the unit may live."""

_SLOWEST = 1 << 20
"""Bytes a second that a server has to manage at least."""

_SPARE = 16 << 20
"""Bytes that git-lfs may write besides the file that is fetched."""

_SETTINGS = (
    "lfs.locksverify=false",
    "lfs.transfer.maxretries=2",
    "lfs.transfer.maxverifies=2",
    "lfs.activitytimeout=20",
    "lfs.dialtimeout=10",
    "lfs.tlstimeout=10",
    "lfs.concurrenttransfers=3",
    "lfs.allowincompletepush=false",
    "lfs.basictransfersonly=true",
)
_IDLE_WORDS = re.compile(r"Uploading LFS|Downloading |Errors logged to|Use `git lfs logs|hint:|^$")
_PASSING = re.compile(
    r"connection re(set|fused)|EOF|[Tt]imeout|no such host|no route to host|Fatal error|Server error|status 5\d\d|"
    r"network is unreachable|broken pipe|request canceled|use of closed network connection|server closed|"
    r'(?:Put|Get|Post) "[^"]*": (?!.*(?:x509|tls): )'  # what git-lfs met on the way, whatever it is called
)
_ABSENT = re.compile(r"\[4(?:04|10)\] |(?<!batch response: )Repository or object not found")
"""How a server that was reached says that it does not have one file."""

_LACKS = re.compile(r"Unable to find source for object ([0-9a-f]{64})|\(missing\) \S+ \(([0-9a-f]{64})\)")


class Place(NamedTuple):
    """Where large files of a project are: `url` is empty where it follows from the remote's."""

    origin: Remote
    url: str

    @property
    def folder(self) -> str:
        """The folder of this machine that keeps them, empty where a server does."""
        url = re.sub(r"^file://(?:localhost)?(?=/)", "", self.url) if self.url else self.origin.url
        return url if url.startswith("/") else ""


def fetch(call: Call) -> dict[str, Any]:
    """The method FetchLargeFile."""
    pointer, file = largefiles.checked(call.parameters["oid"], call.parameters["size"]), call.parameters["file"]
    project = snapshot.read().project(call.parameters["project"])
    with repository.locked(project.name) as own:
        place = _place(own, project, remote.of_project(project))
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        if place.folder:
            folderstore.fetch(place.folder, pointer, file)
        else:
            _bound(pointer.size + _SPARE)
            with _Act(own, place) as act:
                act.fetch(pointer, file)
    return {"fetched": True}


def push(call: Call) -> dict[str, Any]:
    """The method PushLargeFiles."""
    project = snapshot.read().project(call.parameters["project"])
    head = checked_hash(call.parameters["head"])
    wanted = [_wanted(each) for each in call.parameters["files"]]
    offered = os.path.join(names.state_folder(names.WORKER), "largefiles", project.name, head)
    with repository.locked(project.name) as own:
        try:
            place = _place(own, project, remote.of_pushes(project))
            if place.folder:
                folderstore.push(place.folder, wanted, offered)
            else:
                with _Act(own, place) as act:
                    act.push(wanted, offered)
        except (Conflict, Failed) as error:
            result = {"outcome": "refused", "reason": error.message}
        else:
            result = {"outcome": "pushed", "reason": ""}
    journal.notice(
        f"push of {len(wanted)} large files for {head}: {result['outcome']} {result['reason']}", project=project.name
    )
    return result


def _wanted(text: str) -> Pointer:
    oid, _, size = text.partition(" ")
    if not re.fullmatch(r"[0-9a-f]{64}", oid) or not re.fullmatch(r"\d{1,20}", size):
        raise Invalid(f"{text[:90]!r} names no large file")
    return Pointer(oid, int(size))


def _place(own: Repository, project: Project, origin: Remote) -> Place:
    """Where large files are. Raises Conflict when the remote names a place that nobody has accepted."""
    if project.lfs_url:
        return Place(origin, project.lfs_url)
    named = _named_by_default_branch(own)
    if named:
        raise Conflict(
            f"`.lfsconfig` of the default branch keeps the large files of {project.name} at {named}; if that is right,"
            f" set `git.lfs.url: {named}` in the project's file"
        )
    return Place(origin, "")


def _named_by_default_branch(own: Repository) -> str:
    """The server that `.lfsconfig` names at the default branch, as far as it was fetched; empty if there is none."""
    advertised = own.remembered()
    if not advertised:
        return ""
    head = advertisement.parse(advertised).default().head
    asked = ("config", "--no-includes", f"--blob={head}:.lfsconfig", "--get-regexp")
    outcome = own.git(*asked, r"^(lfs\.(url|pushurl)|remote\..*\.lfs(push)?url)$", seconds=command.limits().look)
    lines = outcome.out.decode("utf-8", "replace").splitlines() if outcome.code == 0 else []
    values = [re.sub(r"[^\x21-\x7e]", "", line.partition(" ")[2])[:500] for line in lines]
    return remote.without_password(values[-1]) if values else ""


class _Act:
    """git-lfs in a repository of its own, for one act."""

    def __init__(self, own: Repository, place: Place) -> None:
        self._own = own
        self._place = place
        self._path = os.path.join(names.state_folder(names.GIT), f"{own.project}.largefiles")

    def __enter__(self) -> "_Act":
        shutil.rmtree(self._path, ignore_errors=True)  # of an act that was killed
        made = command.run(
            ["init", "--quiet", "--bare", "--template=", self._path],
            command.environment(),
            seconds=command.limits().look,
        )
        if made.code:
            raise Failed(f"no repository can be made at {self._path}: {made.words.strip()}")
        self._demand(self._git("config", "remote.origin.url", self._place.origin.url))
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)

    def fetch(self, pointer: Pointer, file: int) -> None:
        """Write a file to a descriptor. Raises Unavailable, NotFound, Failed."""
        outcome = self._git(
            *("lfs", "smudge", "--", pointer.oid[:12]),
            stdin=_text(pointer),
            stdout=file,
            seconds=_patience(pointer.size),
        )
        if outcome.code and _ABSENT.search(outcome.words):
            raise NotFound(f"the server does not have the large file {pointer.oid[:12]}")
        if outcome.code or os.fstat(file).st_size != pointer.size:
            raise self._refusal(outcome, f"the large file {pointer.oid[:12]} could not be fetched")

    def push(self, wanted: list[Pointer], offered: str) -> None:
        """Have the server take what it lacks. Raises Unavailable, Failed."""
        for each in wanted:
            source = os.path.join(offered, each.oid)
            if os.path.isfile(source):
                link = os.path.join(self._path, "lfs", "objects", largefiles.place(each.oid))
                os.makedirs(os.path.dirname(link), exist_ok=True)
                os.symlink(source, link)
        self._commit(wanted)
        size = sum(min(each.size, largefiles.LARGEST) for each in wanted)
        outcome = self._git("lfs", "push", "origin", "wanted", seconds=_patience(size))
        if outcome.code:
            raise self._refusal(outcome, "the large files were not taken")

    def _commit(self, wanted: list[Pointer]) -> None:
        """A commit of nothing but the pointers: what git-lfs is to look after."""
        lines = []
        for each in wanted:
            written = self._git("hash-object", "-w", "--stdin", stdin=_text(each))
            self._demand(written)
            lines.append(f"100644 blob {written.out.decode().strip()}\t{each.oid}\n")
        tree = self._git("mktree", stdin="".join(lines).encode())
        self._demand(tree)
        made = self._git("commit-tree", tree.out.decode().strip(), "-m", "wanted")
        self._demand(made)
        self._demand(self._git("update-ref", "refs/heads/wanted", made.out.decode().strip()))

    def _git(self, *arguments: str, seconds: float = 30.0, stdin: bytes = b"", stdout: int | None = None) -> Outcome:
        settings = [*_SETTINGS, *([f"lfs.url={self._place.url}"] if self._place.url else [])]
        options = [part for each in settings for part in ("-c", each)]
        identity = {f"GIT_{who}_{what}": "herald" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return command.run(
            [f"--git-dir={self._path}", *options, *arguments],
            self._place.origin.environment() | identity,
            seconds=seconds,
            stdin=stdin,
            stdout=stdout,
            inherited=(self._own.lock,),
        )

    def _demand(self, outcome: Outcome) -> None:
        if outcome.code:
            raise Failed(f"git failed for the large files: {remote.spoken(outcome.words)}")

    def _refusal(self, outcome: Outcome, what: str) -> HeraldError:
        words = outcome.words
        if outcome.code == 1 and "'lfs' is not a git command" in words:
            return Failed(f"git-lfs is not installed where herald-git runs: {largefiles.INSTALL}")
        if lacking := [one or other for one, other in _LACKS.findall(words + outcome.out.decode("utf-8", "replace"))]:
            return Failed(_missing(lacking))
        lines = [line for line in words.splitlines() if not _IDLE_WORDS.search(line.strip())]
        said = remote.spoken("\n".join(lines[-3:]))
        kind = Unavailable if _PASSING.search(words) else Failed
        return self._place.origin.refusal(words) or kind(f"{what}: {said}")


def _missing(lacking: list[str]) -> str:
    shown = ", ".join(each[:12] for each in lacking[:5]) + (" and more" if len(lacking) > 5 else "")
    return f"the remote lacks large files that are not in the workspace either ({shown})"


def _patience(size: int) -> float:
    return min(command.limits().act + size / _SLOWEST, _LONGEST)


def _text(pointer: Pointer) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{pointer.oid}\nsize {pointer.size}\n".encode()


def _bound(size: int) -> None:
    """No process of this act writes a larger file, whatever a server sends."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with contextlib.suppress(OSError, ValueError):  # where the sandbox forbids it git-lfs itself finds the size wrong
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
