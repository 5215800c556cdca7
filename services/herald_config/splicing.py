"""One change in the text of a YAML file: a value put in, or taken out, at the positions where it stands."""

from typing import Any

from herald_config import layout, placement, rendering
from herald_config.layout import Entry, Value


class ByHand(Exception):
    """This text cannot be changed there without touching what stands around it."""


class Splice:
    """One change of a text."""

    def __init__(self, text: str, root: Value) -> None:
        self._text = text
        self._root = root
        self._break = layout.line_break(text)

    def at(self, path: list[str], value: Any) -> str:
        """The text with the value of this path set or removed."""
        holder = self._root
        for depth, name in enumerate(path):
            if holder.kind == "alias":
                raise ByHand
            entry = holder.entry(name)
            if entry is None:
                if value is None:
                    return self._text
                return self._added(holder, path[:depth], name, _nest(path[depth + 1 :], value))
            if depth == len(path) - 1:
                return self._removed(holder, entry) if value is None else self._replaced(holder, entry, value)
            if entry.value.kind == "scalar" or (entry.value.flow and not entry.value.entries):  # null, [] or {}
                return self._text if value is None else self._replaced(holder, entry, _nest(path[depth + 1 :], value))
            holder = entry.value
        raise ByHand

    # replacing

    def _replaced(self, holder: Value, entry: Entry, value: Any) -> str:
        old = entry.value
        if old.marked:
            raise ByHand
        style = old.style if old.style in ("'", '"') else ""
        if holder.flow or (old.flow and old.entries and isinstance(value, (dict, list))):
            return self._put_inline(holder, entry, rendering.in_flow(value, style))
        written = rendering.in_block(value, style)
        if old.in_block:
            return self._put_for_block(holder, entry, value, written)
        indent = self._column(holder, entry) + 2
        if holder.kind == "sequence" and not written.head:
            written = rendering.Written(written.lines[0], written.lines[1:])
            indent = old.start - layout.start_of_line(self._text, old.start)
        hanging = self._hanging(written.lines, indent)
        if old.missing:
            colon = self._after_colon(holder, entry)
            line_end = layout.end_of_line(self._text, colon)
            head = f" {written.head}" if written.head else ""
            return self._text[:colon] + head + self._text[colon:line_end] + hanging + self._text[line_end:]
        if old.style in ("|", ">"):
            header_end = old.start + len(self._text[old.start : layout.end_of_line(self._text, old.start)].split()[0])
            comment = self._text[header_end : layout.end_of_line(self._text, old.start)]
            rest = self._text[layout.end_of_line(self._text, old.end) :]
            return self._joined(self._text[: old.start], written.head, comment, hanging, rest)
        line_end = layout.end_of_line(self._text, old.end)
        comment = self._text[old.end : line_end]
        return self._joined(self._text[: old.start], written.head, comment, hanging, self._text[line_end:])

    def _joined(self, before: str, head: str, comment: str, hanging: str, rest: str) -> str:
        """A value in place of another that began in this line; no blanks stay behind where it leaves its line."""
        if not head and not comment.strip():
            before, comment = before.rstrip(" \t"), ""
        return before + head + comment + hanging + rest

    def _put_inline(self, holder: Value, entry: Entry, rendered: str) -> str:
        old = entry.value
        if not old.missing:
            blank = " " if self._text[old.start - 1] == ":" and rendered[0] not in "\"'[{" else ""
            return self._text[: old.start] + blank + rendered + self._text[old.end :]
        if holder.kind == "sequence":
            raise ByHand
        if self._text[entry.key_end :].lstrip(" \t").startswith(":"):
            colon = self._after_colon(holder, entry)
            return f"{self._text[:colon]} {rendered}{self._text[colon:]}"
        return f"{self._text[: entry.key_end]}: {rendered}{self._text[entry.key_end :]}"

    def _put_for_block(self, holder: Value, entry: Entry, value: Any, written: rendering.Written) -> str:
        """In place of a mapping or list in lines of its own."""
        old = entry.value
        line = layout.start_of_line(self._text, old.start)
        rest = self._text[layout.end_of_line(self._text, old.end) :]
        column = old.start - line
        if holder.kind == "sequence":
            head, *lines = [written.head, *written.lines] if written.head else written.lines
            return self._text[: old.start] + head + self._hanging(lines, column) + rest
        if self._text[line : old.start].strip():
            raise ByHand
        if not written.head:
            column = max(column, self._column(holder, entry) + 2) if isinstance(value, dict) else column
            return self._text[:line] + self._hanging(written.lines, column).removeprefix(self._break) + rest
        colon = self._after_colon(holder, entry)
        key_line_end = layout.end_of_line(self._text, colon)
        hanging = self._hanging(written.lines, self._column(holder, entry) + 2)
        between = self._text[key_line_end:line].removesuffix(self._break)
        return f"{self._text[:colon]} {written.head}{self._text[colon:key_line_end]}{hanging}{between}{rest}"

    # adding

    def _added(self, holder: Value, path: list[str], name: str, value: Any) -> str:
        if holder.kind == "sequence":
            name = ""
        elif holder.kind != "mapping":
            raise ByHand
        before, after = placement.neighbours(holder, path, name)
        if holder.flow:
            return self._added_in_flow(holder, before, after, name, value)
        if before is None and after is None:
            raise ByHand
        lines = rendering.entry(name, value) if name else rendering.item(value)
        if before is not None:
            column = self._column(holder, before)
            position = self._below(before, column)
            block = self._hanging(lines, column).removeprefix(self._break)
            if position == layout.start_of_line(self._text, position):
                return self._text[:position] + block + self._break + self._text[position:]
            return self._text[:position] + self._break + block + self._text[position:]
        assert after is not None
        column = self._column(holder, after)
        block = self._hanging(lines, column).removeprefix(self._break + " " * column)
        return self._text[: after.start] + block + self._break + " " * column + self._text[after.start :]

    def _added_in_flow(self, holder: Value, before: Entry | None, after: Entry | None, name: str, value: Any) -> str:
        rendered = f"{rendering.in_flow(name)}: {rendering.in_flow(value)}" if name else rendering.in_flow(value)
        if before is not None:
            position, rendered = before.end, f", {rendered}"
            if before.value.missing and self._text[position:].lstrip(" \t").startswith(":"):
                position = self._after_colon(holder, before)
        elif after is not None:
            position, rendered = after.start, f"{rendered}, "
        else:
            position = self._text.index("{" if name else "[", holder.start) + 1
        return self._text[:position] + rendered + self._text[position:]

    # removing

    def _removed(self, holder: Value, entry: Entry) -> str:
        index = next(index for index, each in enumerate(holder.entries) if each is entry)
        following = holder.entries[index + 1] if index + 1 < len(holder.entries) else None
        if holder.flow:
            return self._removed_from_flow(holder, entry, index, following)
        start = entry.start if holder.kind == "mapping" else self._dash(entry)
        line = layout.start_of_line(self._text, start)
        if not self._text[line:start].strip():
            end = self._below(entry, start - line)
            return self._text[:line] + self._text[end:]
        if following is None:  # the only entry of a mapping that begins behind a dash
            return self._text[:start] + ("{}" if holder.kind == "mapping" else "[]") + self._text[entry.end :]
        end = layout.end_of_line(self._text, entry.end)
        if not self._text[end : following.start].strip():
            end = following.start
        return self._text[:start] + self._text[end:]

    def _removed_from_flow(self, holder: Value, entry: Entry, index: int, following: Entry | None) -> str:
        end = entry.end
        if entry.value.missing and self._text[end:].lstrip(" \t").startswith(":"):
            end = self._after_colon(holder, entry)
        start = entry.start
        if following is not None:
            end = following.start
        elif index and not self._text[holder.entries[index - 1].end : start].strip(" \t\r\n:,"):
            start = holder.entries[index - 1].end
            if holder.entries[index - 1].value.missing and ":" in self._text[start : entry.start]:
                start = self._after_colon(holder, holder.entries[index - 1])
        return self._text[:start] + self._text[end:]

    # places

    def _hanging(self, lines: list[str], column: int) -> str:
        """Lines below another one, each after a line break."""
        return "".join(self._break + (" " * column + line if line else "") for line in lines)

    def _column(self, holder: Value, entry: Entry) -> int:
        """Where the entries of a collection in lines of its own begin."""
        start = entry.start if holder.kind == "mapping" else self._dash(entry)
        return start - layout.start_of_line(self._text, start)

    def _dash(self, entry: Entry) -> int:
        if entry.value.missing:
            raise ByHand
        before = self._text[: entry.start].rstrip(" ")
        if not before.endswith("-"):
            raise ByHand
        return len(before) - 1

    def _after_colon(self, holder: Value, entry: Entry) -> int:
        rest = self._text[entry.key_end :]
        blanks = len(rest) - len(rest.lstrip(" \t"))
        if holder.kind != "mapping" or not rest[blanks:].startswith(":"):
            raise ByHand
        return entry.key_end + blanks + 1

    def _below(self, entry: Entry, column: int) -> int:
        """Where the line after an entry begins: after comments that are indented deeper and go on about it."""
        position = layout.next_line(self._text, entry.end)
        while position < len(self._text):
            line = self._text[position : layout.end_of_line(self._text, position)]
            if not line.lstrip(" ").startswith("#") or len(line) - len(line.lstrip(" ")) <= column:
                break
            position = layout.next_line(self._text, position)
        return position


def _nest(path: list[str], value: Any) -> Any:
    """The value with the mappings and lists around it that are not there yet."""
    for name in reversed(path):
        value = [value] if name.isdecimal() else {name: value}
    return value
