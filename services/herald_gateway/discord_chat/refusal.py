"""Why a connection failed, in words; and whether Discord will go on refusing until somebody changes something."""

import aiohttp
import discord

_PORTAL = "https://discord.com/developers/applications -> the application -> Bot"
_CLOSED = {4004: "token", 4013: "intents", 4014: "content"}
_TEXTS = {
    "token": (
        f"Discord refuses the bot's token. A new one is made at {_PORTAL} -> Reset Token; put it into the credential"
        " discord_token and restart herald-gateway"
    ),
    "content": (
        "Discord refuses the intent Message Content, without which Herald cannot read. Switch it on at"
        f" {_PORTAL} -> Privileged Gateway Intents -> Message Content Intent, then restart herald-gateway"
    ),
    "intents": (
        f"Discord does not know an intent that Herald asks for. Look at {_PORTAL} -> Privileged Gateway Intents; if"
        " Message Content is on, upgrade Herald"
    ),
}


def refusal_in(error: BaseException) -> str:
    """What has to be changed before another attempt makes sense; empty when it may succeed as it is."""
    if isinstance(error, discord.LoginFailure):
        return _TEXTS["token"]
    if isinstance(error, discord.PrivilegedIntentsRequired):
        return _TEXTS["content"]
    if isinstance(error, discord.ConnectionClosed) and error.code in _CLOSED:
        return _TEXTS[_CLOSED[error.code]]
    return ""


def words_of(error: BaseException) -> str:
    """A failed connection in one line."""
    if isinstance(error, discord.ConnectionClosed):
        return f"the gateway closed the connection with code {error.code}"
    if isinstance(error, discord.HTTPException):
        return f"it answers with status {error.status}"
    if isinstance(error, AttributeError):
        return "the gateway cannot be reached"  # how discord.py fails when its first connect does (its issue 10520)
    if isinstance(error, (KeyError, TypeError, ValueError)) and not isinstance(error, UnicodeError):
        return f"it sent an event that cannot be read ({type(error).__name__}: {error})"
    if isinstance(error, (OSError, aiohttp.ClientError)):
        return f"{type(error).__name__}: {error}"
    return str(error) or type(error).__name__
