"""call, introspect: any method of the bus."""

import json
import sys
from argparse import Namespace
from typing import Any

from herald import names
from herald.bus.blocking import call, stream
from herald.errors import Invalid, NotFound
from herald_cli.output import print_json, print_json_line

_SERVICES = {names.interface_of(service): service for service in (*names.LONG_RUNNING, *names.ON_CONNECT)}


def call_method(arguments: Namespace) -> int:
    """`heraldctl call`: the reply as JSON; with --more each reply on a line."""
    interface, _, method = arguments.method.rpartition(".")
    service, parameters = _service_of(interface), _parameters_of(arguments.parameters)
    if arguments.more:
        for reply in stream(service, method, parameters):
            print_json_line(reply)
    else:
        print_json(call(service, method, parameters, deadline=arguments.deadline))
    return 0


def introspect(arguments: Namespace) -> int:
    """`heraldctl introspect`: the interface as Varlink describes it."""
    service = _service_of(arguments.interface)
    parameters = {"interface": arguments.interface}
    print(call(service, "org.varlink.service.GetInterfaceDescription", parameters)["description"].rstrip())
    return 0


def _service_of(interface: str) -> str:
    service = _SERVICES.get(interface)
    if service is None:
        raise NotFound(f"there is no interface {interface!r}; there are {', '.join(sorted(_SERVICES))}")
    return service


def _parameters_of(text: str) -> dict[str, Any]:
    if text == "-":
        text = sys.stdin.read()
    try:
        parameters = json.loads(text)
    except ValueError as error:
        raise Invalid(f"the parameters are no JSON: {error}") from error
    if not isinstance(parameters, dict):
        raise Invalid('the parameters are a JSON object: \'{"project": "demo"}\'')
    return parameters
