"""Where a new key goes: beside the keys that stand beside it in the example."""

from herald_config.layout import Entry, Value
from herald_config.project_file import ProjectFile
from herald_config.section import Section
from herald_config.validation import section_of


def neighbours(holder: Value, path: list[str], name: str) -> tuple[Entry | None, Entry | None]:
    """The entry after which a new one is put, else the one before which; an entry of a list goes to the end."""
    if not holder.entries:
        return None, None
    order = _order(path)
    if holder.kind == "sequence" or name not in order:
        return holder.entries[-1], None
    rank = order.index(name)
    known = [(order.index(each.name), each) for each in holder.entries if each.name in order]
    before = [each for each in known if each[0] < rank]
    if before:
        return max(before, key=lambda each: each[0])[1], None
    after = [each for each in known if each[0] > rank]
    return (None, min(after, key=lambda each: each[0])[1]) if after else (holder.entries[-1], None)


def _order(path: list[str]) -> list[str]:
    """The keys of a section in the order of the example; empty where no section is known."""
    section: type[Section] = ProjectFile
    for name in path:
        if name.isdecimal():
            continue
        known = section.model_fields.get(name)
        inner = section_of(known.annotation) if known else None
        if inner is None:
            return []
        section = inner
    return list(section.model_fields)
