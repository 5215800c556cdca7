"""The bot's token, as it is handed over. Without one Herald's chat is the terminal alone."""

import os

from herald.errors import Unavailable

_FILE = "discord_token"


def token() -> str:
    """The bot's token as it was handed over; empty without one. Raises Unavailable when it cannot be read."""
    path = os.path.join(os.environ.get("CREDENTIALS_DIRECTORY", ""), _FILE)
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"{path} cannot be read: {error}") from error
