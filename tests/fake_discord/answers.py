"""Answers of the REST interface and its errors."""

import json
import math
from typing import Any

from aiohttp import web

from tests.fake_discord.ids import Json

VIA = {"Via": "1.1 google"}  # without it a client takes a 429 for a ban


class ApiError(Exception):
    """An answer that is an error: `code` is Discord's own."""

    def __init__(self, status: int, code: int, message: str, errors: Json | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"code": code, "message": message, **({"errors": errors} if errors else {})}


def form_error(path: str, code: str, message: str) -> ApiError:
    """What a field at `a.b.c` is refused with."""
    node: Json = {"_errors": [{"code": code, "message": message}]}
    for key in reversed(path.split(".")):
        node = {key: node}
    return ApiError(400, 50035, "Invalid Form Body", node)


def too_long(path: str, limit: int) -> ApiError:
    return form_error(path, "BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")


def unknown(what: str) -> ApiError:
    codes = {"Channel": 10003, "Guild": 10004, "Member": 10007, "Message": 10008, "Role": 10011, "User": 10013,
             "Emoji": 10014, "Webhook": 10015, "interaction": 10062}  # fmt: skip
    return ApiError(404, codes[what], f"Unknown {what}")


def reply(body: Any = None, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """JSON, or 204 without a body. The type is exactly `application/json`: with a charset clients take it for text."""
    headers = {**VIA, **(headers or {})}
    if body is None:
        return web.Response(status=204, headers=headers)
    headers["Content-Type"] = "application/json"
    return web.Response(body=json.dumps(body).encode(), status=status, headers=headers)


def too_many(
    retry_after: float, headers: dict[str, str] | None = None, *, everywhere: bool = False, via: bool = True
) -> web.Response:
    """429. Without `via` it is the page that bans an address."""
    if not via:
        return web.Response(status=429, text="<html>error code: 1015</html>", content_type="text/html")
    scope = {"X-RateLimit-Scope": "global" if everywhere else "user", "Retry-After": str(math.ceil(retry_after))}
    if everywhere:
        scope["X-RateLimit-Global"] = "true"
    body = {"message": "You are being rate limited.", "retry_after": round(retry_after, 3), "global": everywhere}
    return reply(body, 429, {**(headers or {}), **scope})
