"""What a person expects of a repository with a trait, and what an agent may try against their clone of it."""

from typing import NamedTuple

from tests.support.clones import CLONES
from tests.support.traits import HISTORIES

TRAITS = {**HISTORIES, **CLONES}


class Expected(NamedTuple):
    """What a person expects of a trait; the words are part of a sentence that is posted, empty where it works."""

    own: str = ""
    path: str = ""
    vote: str = ""


WORKS = Expected()
DIRTY = "has uncommitted changes; commit or stash them there, or say `!stash`"
EXPECTED = {
    "an empty remote": Expected(own="push a first commit", path="push a first commit"),
    "a branch in the way": Expected(own="git.branch_prefix", path="git.branch_prefix"),
    "in the middle of work": Expected(path=DIRTY),
    "a rebase in progress": Expected(path="is in the middle of a rebase"),
    "the work tree elsewhere": Expected(path="; set `path` of sample to that folder, or say `!own`"),
    "an unborn branch": Expected(path="has no commit checked out"),
    "pushing disabled": Expected(vote="has the push URL DISABLED"),
}

ATTACK = """
where() { git -C "$P" rev-parse --path-format=absolute "$@"; }
common="$(where --git-common-dir)"
lenders="$(where --git-path objects/info/alternates)"
for d in "$P" "$common"
do
    [ -n "$d" ] || continue
    git -C "$d" stash drop; git -C "$d" branch -D mine; git -C "$d" update-ref refs/heads/evil HEAD
    git -C "$d" update-ref -d refs/heads/main; git -C "$d" config core.pager 'sh -c id'
    git -C "$d" reset --hard HEAD~1; git -C "$d" worktree prune
    echo evil > "$d/evil"; touch "$d"/*; chmod -R 777 "$d"
done
for f in .git/objects/info/alternates "$lenders"
do
    [ -f "$f" ] && while read -r line; do touch "$line/evil"; chmod -R 777 "$line"; rm -rf "$line"; done < "$f"
done
[ -n "$common" ] && rm -rf "$common"
rm -rf "$P"
"""
"""What an agent may try against the clone of the person, whose path is $P."""
