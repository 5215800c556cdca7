"""The Varlink interfaces of Herald, one file each, used by both ends.

An interface is a class whose methods carry the wire's own names and full annotations and are keyword-only.
A service implements it by subclassing; a caller gets an object of the same type from `herald.bus.client`.
The text that `varlinkctl introspect` shows is derived from it and kept beside it as a golden `.varlink` file.
Identifiers are strings, times are ISO 8601 in UTC with a trailing "Z" and millisecond resolution.
"""
