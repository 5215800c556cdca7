"""A command that does nothing but keep an inetd: `python -m tests.try_.host UNITS RUNTIME`, until SIGTERM."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from herald_try import units
from herald_try.inetd import Inetd
from herald_try.pair import InetdEnded, InetdProcess, stop_within


class _Stopped(BaseException):
    pass


def main() -> None:
    """Exits 0 when told to stop, 1 when the inetd has ended by itself."""
    folder, runtime = Path(sys.argv[1]), sys.argv[2]
    known = units.load(folder)
    environment = {"PATH": os.environ["PATH"], "MARK": os.environ["MARK"], "RUNTIME": runtime}

    def serve(listening: Callable[[], None], _: int) -> None:
        inetd = Inetd(
            known, runtime=runtime, state=runtime, environment=lambda name: environment, stop_within=stop_within()
        )
        inetd.listen()
        sys.stderr.write(f"inetd {os.getpid()}\n")
        listening()
        inetd.run()

    def stop(*_: object) -> None:
        raise _Stopped

    signal.signal(signal.SIGTERM, stop)
    inetd = InetdProcess(serve)
    try:
        while True:
            signal.pause()
    except _Stopped:
        code = 0
    except InetdEnded:
        code = 1
    inetd.stop()
    sys.exit(code)


if __name__ == "__main__":
    main()
