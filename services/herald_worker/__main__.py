"""herald-worker - the durable queue of tasks, their runs, and the proposals that come of them

Takes tasks (io.herald.Worker.Enqueue), starts one run at a time in io.herald.Agent, imports what the run committed,
proposes it, takes votes, has exactly the voted commit pushed by io.herald.Git, and what was pushed deployed by
io.herald.Deploy. Watches the configuration.

listens   io.herald.Worker (socket handed over by the service manager)
calls     io.herald.Agent, io.herald.Git, io.herald.Deploy, io.herald.Config, io.herald.Gateway
reads     the snapshot of herald-config
writes    $HERALD_STATE/worker: worker.sqlite, runs/, attachments/, deployments/, mirrors/, kept/
options   --once works off the queue, then exits
signals   SIGTERM stops (runs go on and are adopted by the next start), SIGHUP compiles the configuration
exit      0 after SIGTERM, 1 after a failure that a restart may cure, 2 for wrong use
"""

from herald import names, service


def main() -> None:
    """Start the service."""
    service.run(names.WORKER, "herald_worker.serving:serve", __doc__, can_once=True)


if __name__ == "__main__":
    main()
