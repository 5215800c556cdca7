"""What herald-config does for people and for the installer."""

import argparse
import json
import sys

from herald.errors import HeraldError
from herald.interfaces.config import Compiled


def run(manual: str) -> int:
    """Run the command line; returns the exit code."""
    arguments = _parser(manual).parse_args()
    # imported here because pydantic and YAML take longer to load than --help may take
    from herald_config import compiler, schemas

    try:
        if arguments.schemas is not None:
            schemas.write(arguments.schemas)
            return 0
        compiled = compiler.reload() if arguments.reload else compiler.check()
    except HeraldError as error:
        print(f"herald-config: {error.message}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"herald-config: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    _print(compiled, as_json=arguments.json)
    return 1 if compiled["problems"] else 0


def _parser(manual: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="herald-config", description=manual, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    act = parser.add_mutually_exclusive_group(required=True)
    act.add_argument("--check", action="store_true", help="validate, write nothing; exit 1 if anything is wrong")
    act.add_argument("--reload", action="store_true", help="validate and put it in force")
    act.add_argument("--schemas", metavar="DIR", help="write the JSON schemas for editors to DIR")
    parser.add_argument("--json", action="store_true", help="print the whole answer as JSON")
    return parser


def _print(compiled: Compiled, *, as_json: bool) -> None:
    from herald_config.problem import lines_of

    if as_json:
        print(json.dumps(compiled, indent=2))
        return
    for line in lines_of(compiled["problems"]):
        print(line)
    for notice in compiled["notices"]:
        print(f"notice: {notice}", file=sys.stderr)
