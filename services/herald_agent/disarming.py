"""What could steer Herald's git in a workspace that a run wrote, or hold it up, taken out before git reads there.

A configuration names programs (filters), files and formats; a pipe in the place of a file that git reads is waited for
without an end. Nothing of this is taken over when the `.git` folder is made anew, so it may go at once.
"""

import contextlib
import os
import shutil
import stat

_READ_BY_GIT = frozenset((".gitignore", ".gitattributes", ".gitmodules", ".lfsconfig", ".mailmap"))
_STEERING = ("config.worktree", "info/attributes", "info/grafts")


def disarm(place: str, config: str) -> None:
    """In the child: put a configuration in the place of the run's, remove what git would wait for. Raises OSError."""
    git_folder = os.path.join(place, ".git")
    if is_folder(git_folder):
        for name in ("config", *_STEERING):
            clear(os.path.join(git_folder, name))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(os.path.join(git_folder, "config"), flags, 0o600), "w", encoding="utf-8") as file:
            file.write(config)
    elif os.path.lexists(git_folder):
        os.unlink(git_folder)  # it leads elsewhere
    unblock(place)


def clear(path: str) -> None:
    """Remove whatever is there, a link and not what it leads to. Raises OSError."""
    if is_folder(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def is_folder(path: str) -> bool:
    """Whether this is a folder and no link."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def unblock(place: str) -> list[str]:
    """In the child: remove pipes, sockets and devices where git looks for a file; returns which."""
    removed = []
    folders = [(place, False)]
    while folders:
        folder, inside = folders.pop()
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, inside or entry.name == ".git"))
                elif (inside or entry.name in _READ_BY_GIT) and _is_waited_for(entry, follow=inside):
                    os.unlink(entry.path)
                    removed.append(os.path.relpath(entry.path, place))
    return removed


def _is_waited_for(entry: os.DirEntry[str], *, follow: bool) -> bool:
    """Links count in git's own folder alone: elsewhere git follows none."""
    if entry.is_file(follow_symlinks=False) or (entry.is_symlink() and not follow):
        return False
    try:
        mode = entry.stat(follow_symlinks=follow).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
