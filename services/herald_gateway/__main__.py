"""herald-gateway - the chat of Herald: messages in, posts out.

Takes what people say in the channels of projects, records it, and hands it over: tasks and votes to herald-worker,
commands to whoever carries them out. Posts what other parts have to say: answers as a code block or a file,
cards, notices. Who may say what is in herald.yaml (operators). The chat is the terminal: `heraldctl chat`.

Listens: $HERALD_BUS/io.herald.Gateway, handed over by the service manager.
Calls:   io.herald.Worker, io.herald.Config.
Reads:   $HERALD_STATE/config/snapshot.json, $HERALD_STATE/alert/ (crashes, each posted once)
Writes:  $HERALD_STATE/gateway/gateway.sqlite (messages; the log of posts), $HERALD_STATE/gateway/files/ (long answers)
Signals: SIGTERM stops; what was not handed over is handed over at the next start.
Exits:   0 after SIGTERM, 1 when a restart may help, 2 for wrong use.
"""

from herald.names import GATEWAY
from herald.service import run


def main() -> None:
    """Start the service."""
    run(GATEWAY, "herald_gateway.gateway:main", __doc__ or "")


if __name__ == "__main__":
    main()
