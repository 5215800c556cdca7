"""heraldctl - the command line of Herald.

Talks to the services of Herald on the bus: queues tasks, votes, shows what is going on, and calls any method.
Who may do what is in herald.yaml (operators); root and members of group herald may connect.

Connects: $HERALD_BUS/io.herald.* (default /run/herald)
Exits:    0 done; 1 failed; 2 wrong use or no such thing; 3 not allowed; 4 all places taken; 5 the state of things
          does not allow it; 6 a part does not answer. `run --follow` exits with the task's state.
"""

import os
import sys

from herald.errors import HeraldError
from herald_cli.arguments import parser


def main() -> None:
    """Parse, carry out, exit."""
    arguments = parser(__doc__ or "").parse_args()
    try:
        code = arguments.handler(arguments)
        sys.stdout.flush()
    except HeraldError as error:
        print(f"heraldctl: {error.message}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on: nothing is left to say
        code = 0
    sys.exit(code)


if __name__ == "__main__":
    main()
