"""Values of settings: from JSON, and as YAML."""

import json
import re
from typing import Any, NamedTuple

from herald.errors import Invalid
from herald_config.document import MAX_DEPTH

_PLAIN = re.compile(r"[A-Za-z_/](?:[A-Za-z0-9_./@+~%=()-]|[ :](?=[A-Za-z0-9_./@+~%=()-]))*")
"""Texts that need no quotes anywhere; what is not sure has them."""
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
_HARMLESS = re.compile(r"[^\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]*")
"""What can stand in a quoted text as it is; the rest is escaped."""


class Number(str):
    """A number as it was written."""


class Quoted(str):
    """A text that is to stand on one line."""


class Written(NamedTuple):
    """A value as YAML: what stands after `key: `, and the lines below it, not yet indented."""

    head: str
    lines: list[str]


def value_of(key: str, text: str) -> Any:
    """The value of a setting. Raises Invalid."""
    try:
        found = json.loads(text, parse_int=Number, parse_float=Number, parse_constant=_refuse)
        text.encode()
        return _checked(found, 0)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the value of {key[:100]!r} is no proper JSON text ({error})") from error


def plain(value: Any) -> Any:
    """The value as document.parse reads it, where every scalar is the text that was written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return None if value is None else str(value)


def in_quotes(value: Any) -> Any:
    """The value with every text on one line."""
    if isinstance(value, dict):
        return {key: in_quotes(each) for key, each in value.items()}
    if isinstance(value, list):
        return [in_quotes(each) for each in value]
    return Quoted(value) if type(value) is str else value


def in_flow(value: Any, style: str = "") -> str:
    """On one line, as it may stand between brackets; `style`: the quotes that were there."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{in_flow(key)}: {in_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(in_flow(each) for each in value) + "]"
    if isinstance(value, str) and not isinstance(value, Number):
        return _scalar(value, "'" if style == "'" else style or ('"' if ":" in value else ""))
    return "null" if value is None else str(plain(value))


def in_block(value: Any, style: str = "") -> Written:
    """As it stands after `key: ` in lines of its own."""
    if isinstance(value, (dict, list)) and value:
        return Written("", _lines(value))
    if isinstance(value, str) and "\n" in value and not isinstance(value, Quoted):
        header, lines = _literal(value)
        if header:
            return Written(header, lines)
    if isinstance(value, str) and not isinstance(value, Number):
        return Written(_scalar(value, style), [])
    return Written(in_flow(value), [])


def entry(key: str, value: Any) -> list[str]:
    """The lines of an entry of a mapping."""
    written = in_block(value)
    name = _scalar(key, "")
    return [f"{name}: {written.head}" if written.head else f"{name}:", *_indented(written.lines)]


def item(value: Any) -> list[str]:
    """The lines of an entry of a list."""
    written = in_block(value)
    if written.head:
        return [f"- {written.head}", *_indented(written.lines)]
    return [f"- {written.lines[0]}", *_indented(written.lines[1:])]


def _lines(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [line for key, each in value.items() for line in entry(key, each)]
    return [line for each in value for line in item(each)]


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" if line else line for line in lines]


def _literal(text: str) -> tuple[str, list[str]]:
    """A block of lines, where that is sure to give back the text; else nothing."""
    body = text.rstrip("\n")
    ending = len(text) - len(body)
    lines = body.split("\n")
    if ending > 1 or not lines[0].strip() or lines[0][0] == " ":
        return "", []
    if not all(_HARMLESS.fullmatch(line) and line == line.rstrip() for line in lines):
        return "", []
    return "|" if ending else "|-", lines


def _scalar(text: str, style: str) -> str:
    """In the given quotes if they can hold it; without any only where nothing could be misread."""
    if not style and _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if style == "'" and _HARMLESS.fullmatch(text):
        return "'" + text.replace("'", "''") + "'"
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if _HARMLESS.fullmatch(each) else _escaped(each) for each in quoted) + '"'


def _escaped(character: str) -> str:
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    return named or (f"\\x{ord(character):02x}" if ord(character) < 0x100 else f"\\u{ord(character):04x}")


def _checked(value: Any, depth: int) -> Any:
    """The value, if a configuration could hold it at all."""
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        value.encode()  # JSON can write half of a pair of surrogates
    elif isinstance(value, dict):
        for key, each in value.items():
            _checked(key, depth + 1)
            _checked(each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            _checked(each, depth + 1)
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number that JSON knows")
