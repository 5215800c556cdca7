"""What the try command needs before it can begin."""


class Missing(Exception):
    """A precondition is not met; the message is one line with the command that helps. Exit code 3."""
