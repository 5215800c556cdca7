"""What a post may hold at most."""

from typing import Any

from tests.fake_discord.answers import ApiError, form_error, too_long
from tests.fake_discord.ids import Json
from tests.fake_discord.world import Upload

CONTENT = 2000
UPLOAD = 10 * 1024 * 1024
_EMBED = {"title": 256, "description": 4096}


def check(body: Json, files: list[Upload], *, new: bool = True) -> None:
    """Raises what Discord refuses a body with."""
    if len(body.get("content") or "") > CONTENT:
        raise too_long("content", CONTENT)
    if len(str(body.get("nonce") or "")) > 25:
        raise form_error("nonce", "NONCE_TYPE_TOO_LONG", "Nonce must be 25 or fewer in length.")
    _check_embeds(body.get("embeds") or [])
    _check_components(body.get("components") or [])
    if len(files) > 10:
        raise form_error("attachments", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")
    if any(len(each.data) > UPLOAD for each in files):
        raise ApiError(413, 40005, "Request entity too large")
    if new and not (_says_something(body.get("content")) or body.get("embeds") or files or body.get("components")):
        raise ApiError(400, 50006, "Cannot send an empty message")


def _says_something(content: str | None) -> bool:
    return bool(content and content.strip())


def _check_embeds(embeds: list[Json]) -> None:
    if len(embeds) > 10:
        raise form_error("embeds", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")
    total = 0
    for index, embed in enumerate(embeds):
        texts: list[tuple[str, Any, int]] = [(key, embed.get(key), limit) for key, limit in _EMBED.items()]
        texts.append(("footer.text", (embed.get("footer") or {}).get("text"), 2048))
        texts.append(("author.name", (embed.get("author") or {}).get("name"), 256))
        fields = embed.get("fields") or []
        if len(fields) > 25:
            raise form_error(f"embeds.{index}.fields", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
        for place, field in enumerate(fields):
            texts += [(f"fields.{place}.name", field["name"], 256), (f"fields.{place}.value", field["value"], 1024)]
            if not field["name"] or not field["value"]:
                raise form_error(f"embeds.{index}.fields.{place}", "BASE_TYPE_REQUIRED", "This field is required")
        for where, text, limit in texts:
            if len(text or "") > limit:
                raise too_long(f"embeds.{index}.{where}", limit)
            total += len(text or "")
    if total > 6000:
        raise form_error("embeds", "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")


def _check_components(rows: list[Json]) -> None:
    if len(rows) > 5:
        raise form_error("components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
    seen: set[str] = set()
    for index, row in enumerate(rows):
        inside = row.get("components") or []
        if row.get("type") != 1 or not 1 <= len(inside) <= 5:
            raise form_error(f"components.{index}", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
        for place, each in enumerate(inside):
            where = f"components.{index}.components.{place}"
            name = each.get("custom_id")
            if len(name or "") > 100:
                raise too_long(f"{where}.custom_id", 100)
            if len(each.get("label") or "") > 80:
                raise too_long(f"{where}.label", 80)
            if name in seen:
                raise form_error(where, "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated")
            seen |= {name} if name else set()


def check_name(name: str | None, field: str) -> None:
    """The name of a webhook, or the one that a post of it overrides it with."""
    if name is None:
        return
    if not 1 <= len(name.strip()) <= 80:
        raise form_error(field, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 80 in length.")
    for word in ("clyde", "discord"):
        if word in name.lower():
            raise form_error(field, "USERNAME_INVALID_CONTAINS", f'Username cannot contain "{word}"')
