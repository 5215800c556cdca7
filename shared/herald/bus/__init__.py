"""Varlink over the sockets of the bus folder: a thin layer over asyncvarlink, and lean ends without asyncio."""
