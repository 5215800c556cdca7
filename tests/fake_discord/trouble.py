"""The part of the client that lets things go wrong."""

from typing import Any

from tests.fake_discord.process import Connection


class Trouble:
    """What Discord, the network or an administrator does to the bot."""

    def __init__(self, connection: Connection) -> None:
        self._call = connection.call

    # REST

    def fault(self, method: str = "*", path: str = ".*", **what: Any) -> None:
        """Let requests fail whose method and whole path (after /api/v10, or of an attachment) match.

        times=1 (0: for ever), skip=0, chance=1.0, then one of: status= with text= or body=; retry_after= with
        everywhere= or via=False; drop=True; hold=True until `release_requests`; delay= alone or before one of them.
        after=True: the request is carried out before.
        """
        self._call("fault", method=method, path=path, **what)

    def seed(self, seed: int) -> None:
        """For faults with a chance."""
        self._call("seed", seed=seed)

    def clear_faults(self) -> None:
        """No faults and limits any more; what is held goes on."""
        self._call("clear_faults")

    def release_requests(self) -> None:
        self._call("release_requests")

    def limit(self, method: str, template: str, count: int, seconds: float) -> None:
        """A bucket per first id of the path: `limit("POST", "/channels/{}/messages", 5, 2.0)`."""
        self._call("limit", method=method, template=template, count=count, seconds=seconds)

    def limit_everything(self, count: int, seconds: float) -> None:
        """The global limit."""
        self._call("limit_everything", count=count, seconds=seconds)

    # Gateway

    def settings(self, **what: Any) -> None:
        """hello, ack, ready, resumable, heartbeat_ms, delay, refuse (an HTTP status), close_after_hello (a code),
        allowed_intents, identify_limit, identify_interval."""
        self._call("settings", **what)

    def reconnect(self) -> None:
        """op 7."""
        self._call("control", operation=7)

    def invalidate(self, *, resumable: bool = False) -> None:
        """op 9. Without `resumable` the sessions are forgotten too."""
        if not resumable:
            self._call("forget_sessions")
        self._call("control", operation=9, data=resumable)

    def forget_sessions(self) -> None:
        """The next RESUME is refused."""
        self._call("forget_sessions")

    def close(self, code: int) -> None:
        """Close the gateway connections with a code."""
        self._call("close", code=code)

    def abort(self) -> None:
        """Reset the gateway connections."""
        self._call("abort")

    def raw(self, text: str) -> None:
        """Send a frame with any text."""
        self._call("raw", text=text)

    def dispatch(self, kind: str, data: Any) -> None:
        """Send any event, well-formed or not."""
        self._call("dispatch", kind=kind, data=data)

    def hide(self, *types: str) -> None:
        """Lose all events of these types from now on; without any: none."""
        self._call("hide", types=types)

    def duplicate(self, kind: str, times: int = 1) -> None:
        """The next events of this type come twice."""
        self._call("duplicate", kind=kind, times=times)

    def hold(self, *types: str) -> None:
        """Keep events of these types (none: all) back."""
        self._call("hold", types=types)

    def release(self, order: str | list[int] = "straight") -> int:
        """Let them go: `straight`, `reversed`, or by these indexes (an index may be there twice, or not at all)."""
        return int(self._call("release", order=order))

    def chance(self, *, doubled: float = 0.0, hidden: float = 0.0, seed: int = 0) -> None:
        """How likely events of messages and reactions are to come twice, or not at all."""
        self._call("chance", doubled=doubled, hidden=hidden, seed=seed)

    # All of it

    def revoke(self) -> None:
        """The token is reset: 401, and close code 4004."""
        self._call("revoke")

    def accept(self, token: str) -> None:
        """The token that is good from now on."""
        self._call("token", token=token)

    def freeze(self) -> None:
        """Nothing is answered any more, nothing closed, as when packets are lost."""
        self._call("freeze")

    def thaw(self) -> None:
        self._call("thaw")

    def cut(self) -> None:
        """All connections are reset, new ones refused."""
        self._call("cut")

    def heal(self) -> None:
        self._call("heal")

    def expire_interactions(self) -> None:
        """As if 15 minutes had gone by for all interactions until now."""
        self._call("expire_interactions")
