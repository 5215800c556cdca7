from tests.gateway.running import bus, chat

__all__ = ["bus", "chat"]
