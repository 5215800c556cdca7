"""What Herald is measured against, each a process of its own: `python -m tests.bench.peers.NAME ARGUMENT...`."""
