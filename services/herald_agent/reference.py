"""Names of branches and commits, as text that is checked before git sees it."""


def check_branch(name: str) -> bool:
    """Whether a name can be a branch, and means nothing but a branch where a command takes it."""
    parts = name.split("/")
    return (
        bool(name)
        and name[0] != "-"
        and name.isprintable()
        and not any(sign in name for sign in (" ", "~", "^", ":", "?", "*", "[", "\\", "..", "@{"))
        and all(part and part[0] != "." and part[-1] != "." and not part.endswith(".lock") for part in parts)
    )


def check_hash(text: str) -> bool:
    """Whether this is the full hash of a git object."""
    return len(text) in (40, 64) and all(sign in "0123456789abcdef" for sign in text)


def folder_name(branch: str) -> str:
    """A branch's name as the name of a folder or file."""
    return branch.replace("/", "+")
