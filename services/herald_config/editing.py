"""Changes single keys in the text of a project file and leaves every other character of it as it was.

Each change is made at the positions that the parser gives, then the result is parsed and compared: exactly the asked
key must differ. Where that cannot be had, because of anchors for example, the operator is asked to do it by hand.
"""

from collections.abc import Iterator
from typing import Any

from herald.errors import Conflict, Invalid
from herald_config import document, layout, rendering
from herald_config.problem import Flawed, shown
from herald_config.splicing import ByHand, Splice

_BOM = "\ufeff"


def changed(file: str, data: bytes, key: str, value: Any) -> bytes:
    """The file's content with one key set, or removed where `value` is None.

    Raises Flawed when it is no document, Invalid when the key leads nowhere, Conflict when it must be done by hand.
    """
    path = key.split(".")
    for place, part in list(_steps(_at(document.parse(file, data).data, path), value, path)):
        data = _step(file, data, place, part)
    return data


def _steps(old: Any, new: Any, path: list[str]) -> Iterator[tuple[list[str], Any]]:
    """The smallest changes that lead to a value, so that the comments between those that stay do stay."""
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() & new.keys():
        for key in [key for key in old if key not in new]:
            yield [*path, key], None
        for key, value in new.items():
            yield from _steps(old.get(key), value, [*path, key])
    elif isinstance(old, list) and isinstance(new, list) and old and new and None not in new:
        for index, value in enumerate(new):
            yield from _steps(old[index] if index < len(old) else None, value, [*path, str(index)])
        for index in reversed(range(len(new), len(old))):
            yield [*path, str(index)], None
    else:
        yield path, new


def _at(data: Any, path: list[str]) -> Any:
    for name in path:
        if not _has(data, name):
            return None
        data = data[int(name) if isinstance(data, list) else name]
    return data


def _step(file: str, data: bytes, path: list[str], value: Any) -> bytes:
    before = document.parse(file, data).data
    expected = _with(before, path, value)
    if _trimmed(expected) == _trimmed(before):
        return data
    text = data.decode()
    mark, text = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    # lines as they are read best; where the end of the file would cut them short, a text in quotes
    for form in (value, rendering.in_quotes(value)):
        try:
            after = (mark + Splice(text, layout.values(text)).at(path, form)).encode()
            if _trimmed(document.parse(file, after).data) == _trimmed(expected):
                return after
        except (ByHand, Flawed):
            continue
    raise Conflict(
        f"{shown(file)}: {'.'.join(path)} cannot be changed without touching what is written around it (anchors, "
        "tags or an unusual form); change it by hand"
    )


def _with(data: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """What the document is to hold afterwards. Raises Invalid."""
    found: dict[str, Any] = _unshared(data)
    here: Any = found
    for depth, name in enumerate(path):
        last = depth == len(path) - 1
        inner: Any = rendering.plain(value) if last else ([] if path[depth + 1].isdecimal() else {})
        where = ".".join(path[:depth]) or "the file"
        if value is None and not last and isinstance(here, (dict, list)) and not _has(here, name):
            return data
        if isinstance(here, dict) and name:
            if last and value is None:
                here.pop(name, None)
            elif last or here.get(name) is None:
                here[name] = inner
            here = here.get(name)
        elif isinstance(here, list) and name.isdecimal() and int(name) <= len(here):
            if last and value is None:
                del here[int(name) : int(name) + 1]
            elif int(name) == len(here):
                here.append(inner)
            elif last or here[int(name)] is None:
                here[int(name)] = inner
            here = here[int(name)] if int(name) < len(here) else None
        elif isinstance(here, list):
            raise Invalid(f"{'.'.join(path)}: {where} is a list of {len(here)}; write one of 0 to {len(here)} after it")
        else:
            raise Invalid(f"{'.'.join(path)}: {where} is no mapping; there is nothing below it")
    return found


def _unshared(data: Any) -> Any:
    """A copy in which what an alias stands for is there twice: a change of one of them is not one of both."""
    if isinstance(data, dict):
        return {key: _unshared(each) for key, each in data.items()}
    return [_unshared(each) for each in data] if isinstance(data, list) else data


def _has(data: Any, name: str) -> bool:
    if isinstance(data, dict):
        return data.get(name) is not None
    return isinstance(data, list) and name.isdecimal() and int(name) < len(data)


def _trimmed(value: Any) -> Any:
    """Without keys that hold nothing, which mean the same as keys that are not there."""
    if isinstance(value, dict):
        inner = {key: _trimmed(each) for key, each in value.items()}
        return {key: each for key, each in inner.items() if each is not None} or None
    if isinstance(value, list):
        return [_trimmed(each) for each in value] or None
    return value
