"""The first task of a new project's agent: get to know the project, fill in the templates, introduce itself."""

from herald.interfaces.worker import Author
from herald_worker.tasks import NewTask

_TEXT = """\
Introduce yourself

This is your first run in this project, and nobody has told you yet who you are. Herald has put templates into the \
repository where it had none: `.herald/SOUL.md` (who you are), `.herald/MEMORY.md` (what you know that the code does \
not say), `.herald/humans/` (the people you work for) and `CLAUDE.md` (what is read before every run).

1. Read them, then the repository: what it is for, how it is laid out, how it is built and tested, what is unfinished.
2. Make `.herald/SOUL.md` yours: fill in what it leaves to you, in your own words, and take out what is only advice.
3. Write into `.herald/MEMORY.md` what you found out, above all what would take long to find out again. What you are \
not sure of is a question, not a fact.
4. Fill in `CLAUDE.md` where it leaves room. If it was there before and does not mention `.herald/SOUL.md` and \
`.herald/MEMORY.md`, add the lines that do; change nothing else in it.
5. Read `.herald/humans/`. Make a file only for people of whom you were told something.
6. Change nothing outside these files. Commit.

Your last words are posted in the project's channel, under your name, as the first thing that people there read of \
you. Introduce yourself in a few sentences: who you are, what you understood this project to be, what you noticed, and \
one question if you have one. No list of what you did."""


def task(key: str, project: str, author: Author) -> NewTask:
    """The task as it is queued; before its run the templates are added."""
    return NewTask(key=key, project=project, kind="operator", text=_TEXT, author=author, history=[], bootstrap=True)
