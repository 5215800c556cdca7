"""Limits at the doors of the bus."""

FRAME = 8 << 20
"""Bytes of one message. Larger things travel as file descriptors."""

DESCRIPTORS = 16
"""Descriptors beside one message; the kernel closes further ones."""

CONNECTIONS = 2048
"""Connections that one long-running service keeps open. A further one takes the place of the one that has been idle
longest; when none is idle it waits in the backlog."""

BACKLOG = 4096

IN_FLIGHT = 64
"""Calls that one caller has open to one service."""

PARTIAL_FRAME = 30.0
"""Seconds in which a message that has begun must be complete."""

PROMPT = 2 << 20
"""Bytes of a task's text; the model's side refuses 3 MB."""

DEADLINE = 10.0
"""Seconds until a call without a deadline of its own is given up."""
