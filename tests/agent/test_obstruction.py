"""What a run leaves that could hold Herald's own git up, steer it, or get work lost."""

import shutil

from tests.agent.place import Place, git

ONE = "echo a > a; git add a; git commit -qm One"


def committed(place: Place, branch: str) -> list[str]:
    return git(place.tree, "ls-tree", "-r", "--name-only", branch).split("\n")


def subjects(place: Place, branch: str) -> list[str]:
    return git(place.tree, "log", "--format=%s", branch).split("\n")


def test_what_a_home_says_to_git_does_not_decide_what_is_taken(place: Place) -> None:
    settings = "echo '*' > ignore; echo '* text eol=crlf' > attributes"
    place.run(f"shell mkdir -p ~/.config/git; cd ~/.config/git; {settings}")
    files = place.run("shell od -c README.md; echo new > new")
    assert "\\r" not in files.text
    assert committed(place, files.end["branch"]) == ["README.md", "new"]


def test_a_damaged_store_is_made_anew_from_the_same_pack(place: Place) -> None:
    pack = place.history()
    place.run("say hi")
    for path in (place.store / "objects/pack").glob("*.pack"):
        path.chmod(0o600)
        path.write_bytes(b"")
    assert place.run("say hi", base_pack=pack).end["outcome"] == "incomplete"
    assert place.run("say hi", base_pack=pack).end["outcome"] == "ok"
    shutil.rmtree(place.store / "objects")
    assert place.run("say hi", base_pack=pack).end["outcome"] == "ok"
