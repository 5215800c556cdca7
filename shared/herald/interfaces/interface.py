"""What makes a class a Herald interface."""

from typing import ClassVar


class Interface:
    """Methods in CamelCase are the methods on the wire; the errors are those of `herald.errors`."""

    interface: ClassVar[str]

    def __init_subclass__(cls, interface: str | None = None) -> None:
        super().__init_subclass__()
        if interface is not None:
            cls.interface = interface
