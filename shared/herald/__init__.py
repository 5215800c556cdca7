"""What every Herald service shares: the bus, the state files, the service skeleton."""

__version__ = "0.1.0"
