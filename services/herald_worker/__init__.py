"""herald-worker: the durable queue, the runs, the proposals."""
