"""Snapshots as versions before this one wrote them."""

import json
import zlib

from herald import snapshot
from herald.snapshot import Project, Snapshot


def in_format_1(written: Snapshot) -> bytes:
    """The bytes as the version before wrote them: without the fields that came with format 2."""
    body = json.loads(snapshot.encode(written))["body"] | {"format": 1}
    for key in ("projects_root", "discord", "deploy"):
        del body[key]
    for project in body["projects"].values():
        for key in [key for key in project if key in Project._field_defaults]:
            del project[key]
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return b'{"crc32":%d,"body":%s}\n' % (zlib.crc32(text.encode()), text.encode())
