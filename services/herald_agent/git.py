"""Git in a clone that an agent can write to: deaf to its configuration where that could run something, and bounded."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from herald import git_words, journal
from herald.errors import Failed
from herald_agent import process
from herald_agent.environment import GIT
from herald_agent.inside import Overdue, inside
from herald_agent.stop import StopSignal


class Git:
    """Runs git in one folder, confined as the agent is: a clone's filters are programs that the agent may have set."""

    def __init__(
        self,
        folder: str,
        environment: Mapping[str, str],
        stop: StopSignal | None = None,
        confine: Callable[[], None] = process.stay_free,
        scratch: str = "",
    ) -> None:
        """`scratch` is a folder for copies, which a run may write."""
        self.folder = folder
        self.scratch = scratch
        self._environment = environment
        self.stop = stop
        self._confine = confine

    def at(self, folder: str) -> "Git":
        """The same in another folder."""
        return Git(folder, self._environment, self.stop, self._confine, self.scratch)

    def with_variables(self, **variables: str) -> "Git":
        """The same with more in its environment."""
        return Git(self.folder, {**self._environment, **variables}, self.stop, self._confine, self.scratch)

    def in_environment(self, environment: Mapping[str, str]) -> "Git":
        """The same in an environment of its own."""
        return Git(self.folder, environment, self.stop, self._confine, self.scratch)

    def inside(self, act: Callable[[], Any], deadline: float = 300.0) -> Any:
        """An act of Herald's own on these files, confined as git is. Raises as `inside.inside` does."""
        return inside(self._confine, act, stop=self.stop, deadline=deadline)

    def unstoppable(self) -> "Git":
        """The same, for what must be finished although the unit was told to stop."""
        return Git(self.folder, self._environment, None, self._confine, self.scratch)

    def attempt(
        self,
        *arguments: str,
        given: str | bytes = "",
        stdin: int | None = None,
        stdout: int | None = None,
        deadline: float = 60.0,
    ) -> process.Output:
        """Run git, whatever its exit code. Raises Failed when it does not end in time, OSError when it cannot start."""
        try:
            return process.run(
                [*GIT, *arguments],
                self._environment,
                self.folder,
                given=given.encode() if isinstance(given, str) else given,
                stdin=stdin,
                stdout=stdout,
                deadline=deadline,
                stop=self.stop,
                confine=self._confine,
            )
        except process.TimedOut:
            raise Overdue(f"git {arguments[0]} in {self.folder} did not end within {deadline:g} s") from None

    def __call__(self, *arguments: str, given: str = "", deadline: float = 60.0) -> str:
        """Run git and return what it wrote. Raises Failed with its last words."""
        output = self.attempt(*arguments, given=given, deadline=deadline)
        if output.code != 0:
            raise refused(arguments[0], output)
        return output.out.decode("utf-8", "replace").rstrip("\n")

    def commit_of(self, name: str) -> str:
        """The hash of the commit that a name stands for, empty if there is none."""
        output = self.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        return output.out.decode().strip() if output.code == 0 else ""

    def commits_of(self, *names: str) -> list[str]:
        """The same for several names at once."""
        asked = "".join(f"{name}^{{commit}}\n" for name in names)
        answers = self("cat-file", "--batch-check=%(objectname)", given=asked).splitlines()
        return ["" if answer.endswith(" missing") else answer for answer in answers]

    def head_of(self, branch: str) -> str:
        """The commit of a branch, empty if there is no such branch."""
        return self.commit_of(f"refs/heads/{branch}")

    def branch(self) -> str:
        """The branch that is checked out, empty if HEAD is detached."""
        output = self.attempt("symbolic-ref", "--quiet", "HEAD")
        return output.out.decode().strip().removeprefix("refs/heads/") if output.code == 0 else ""

    def listed(self, *arguments: str, given: bytes = b"", deadline: float = 300.0) -> list[bytes]:
        """What a command lists with NUL after each entry. Raises Failed."""
        output = self.attempt(*arguments, given=given, deadline=deadline)
        if output.code != 0:
            raise refused(arguments[0], output)
        return output.out.split(b"\0")[:-1]


def refused(command: str, output: process.Output) -> Failed:
    """The error for a git command that said no; all that it said goes to the journal."""
    words = output.err.decode("utf-8", "replace")
    journal.info(f"git {command} failed with code {output.code} and said:\n{git_words.whole(words)}")
    return Failed(f"git {command} failed: {git_words.telling(words) or f'exit code {output.code}'}")


def is_below(path: str, folder: str) -> bool:
    """Whether a path lies in a folder, both taken as git names them, without symbolic links."""
    return os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep)
