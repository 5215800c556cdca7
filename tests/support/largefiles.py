"""A small server of git-lfs's batch API, which can be told to misbehave. Objects lie in a folder, by their hash."""

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

Manner = Literal["well", "refuses", "fails", "cuts", "hangs"]

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n"


def pointer_of(data: bytes) -> str:
    """The pointer that git-lfs makes of a file."""
    return POINTER.format(oid=hashlib.sha256(data).hexdigest(), size=len(data))


class LargeFileServer:
    """A server with its manners: `manner` says how it takes and gives files, `wrong` makes it give other bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manner: Manner = "well"
        self.wrong = False
        self.asked: list[str] = []
        self.given = 0
        """Bytes of the last file that were taken."""
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        """What `lfs.url` is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def has(self, data: bytes) -> bool:
        """Whether it has this file, whole."""
        path = self.folder / hashlib.sha256(data).hexdigest()
        return path.is_file() and path.read_bytes() == data

    def put(self, data: bytes) -> str:
        """Give it a file; returns its name."""
        oid = hashlib.sha256(data).hexdigest()
        (self.folder / oid).write_bytes(data)
        return oid

    def close(self) -> None:
        """End it with all that it lets wait."""
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[LargeFileServer]:
    """A server for the time of a test."""
    folder.mkdir(parents=True, exist_ok=True)
    server = LargeFileServer(folder)
    try:
        yield server
    finally:
        server.close()


def _handler(server: LargeFileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.asked.append(self.path)
            if self.path != "/objects/batch":
                self._answer(404, {"message": "there is no such thing"})
            elif server.manner == "refuses":
                self._answer(403, {"message": "your quota is used up"})
            else:
                self._answer(200, _batch(server, json.loads(body)))

        def do_PUT(self) -> None:
            server.asked.append(self.path)
            size = int(self.headers["Content-Length"])
            if server.manner == "fails":
                self.rfile.read(size)
                self._answer(500, {"message": "out of order"})
                return
            if server.manner == "cuts":
                self.rfile.read(size // 2)
                self.close_connection = True
                self.connection.close()
                return
            if server.manner == "hangs":
                server.released.wait()
                return
            oid = self.path.rpartition("/")[2]
            making = server.folder / f".{oid}.{threading.get_ident()}"
            with open(making, "wb") as file:
                while size and (part := self.rfile.read(min(size, 1 << 20))):
                    file.write(part)
                    size -= len(part)
            if size:
                making.unlink()
                return
            os.rename(making, server.folder / oid)
            self._answer(200, {})

        def do_GET(self) -> None:
            server.asked.append(self.path)
            path = server.folder / self.path.rpartition("/")[2]
            if server.manner == "hangs":
                server.released.wait()
                return
            if server.manner == "fails" or not path.is_file():
                self._answer(500 if path.is_file() else 404, {"message": "out of order"})
                return
            data = path.read_bytes()
            if server.wrong:
                data = bytes(len(data))
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            server.given = 0
            for start in range(0, len(data) // 2 if server.manner == "cuts" else len(data), 1 << 16):
                try:
                    self.wfile.write(data[start : start + (1 << 16)])
                except ConnectionError:
                    break
                server.given = start
            self.close_connection = server.manner == "cuts"

        def _answer(self, code: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/vnd.git-lfs+json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _batch(server: LargeFileServer, asked: dict[str, Any]) -> dict[str, Any]:
    def answer(each: dict[str, Any]) -> dict[str, Any]:
        there = (server.folder / each["oid"]).is_file()
        place = {"href": f"{server.url}/data/{each['oid']}"}
        if asked["operation"] == "upload":
            return each if there else each | {"actions": {"upload": place}}
        if there:
            return each | {"actions": {"download": place}}
        return each | {"error": {"code": 404, "message": "there is no such object"}}

    return {"transfer": "basic", "objects": [answer(each) for each in asked["objects"]]}
