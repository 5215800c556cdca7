"""Whether a repository names its objects by SHA-1 or by SHA-256, told by the length of the hashes."""

import contextlib
import os

SHA1, SHA256 = "sha1", "sha256"
_SHA256_LENGTH = 64
_EXTENSION = "objectFormat = sha256"


def of_hash(value: str) -> str:
    """The format that this full hash belongs to."""
    return SHA256 if len(value) == _SHA256_LENGTH else SHA1


def option(commit: str) -> str:
    """The option of `git init` for a repository that shall hold this commit."""
    return f"--object-format={of_hash(commit)}"


def configuration(text: str, commit: str) -> str:
    """The text of a repository's configuration, for one that shall hold this commit."""
    if of_hash(commit) == SHA1:
        return text
    return (
        text.replace("repositoryformatversion = 0", "repositoryformatversion = 1") + f"[extensions]\n\t{_EXTENSION}\n"
    )


def fits(repository: str, commit: str) -> bool:
    """Whether a bare repository with such a configuration may hold this commit; one that isn't there may."""
    with contextlib.suppress(OSError), open(os.path.join(repository, "config"), "rb") as file:
        return (_EXTENSION.encode() in file.read()) == (of_hash(commit) == SHA256)
    return True  # what can't be read is for git to complain about
