"""A Discord for tests: `python -m tests.fake_discord [--port 0] [--state FILE] [--tls CERT KEY]`.

Prints its addresses as one line of JSON when it listens, and writes them to the state file. Lives until it is told to
end, or until its standard input is closed if `--with-input` is given.
"""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from tests.fake_discord.server import Server


async def _serve(given: argparse.Namespace) -> None:
    server = Server(given.token, given.tls, given.gateway_url, given.cdn_url, given.address)
    text = json.dumps(await server.start(given.port, given.control_port))
    if given.state:
        new = Path(given.state + ".new")
        new.write_text(text)
        new.rename(given.state)
    print(text, flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, ended.set)
    if given.with_input:
        loop.add_reader(sys.stdin, lambda: ended.set() if not sys.stdin.readline() else None)
    await ended.wait()
    await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fake_discord", description=__doc__)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--state", default="")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--token", default="", help="of the bot; default: a new one")
    parser.add_argument("--gateway-url", default="", help="what clients reach the gateway by, if it has another name")
    parser.add_argument("--cdn-url", default="", help="what clients reach attachments by")
    parser.add_argument("--with-input", action="store_true", help="end when standard input is closed")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
