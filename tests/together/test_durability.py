"""What is answered is on the disk: read from a trace of the worker's system calls."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.herald import Site
from tests.support.processes import wait_for

_CALLS = "trace=fdatasync,sendmsg,pwrite64"
_TAKEN = re.compile(r'sendmsg\(.*\\"created\\": ?true')
_VOTED = re.compile(r'sendmsg\(.*\\"state\\": ?\\"approved\\"')
_SYNCED = re.compile(r"fdatasync(\(\d+<[^>]*worker.sqlite-wal>| resumed>)\) += 0")


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing: apt-get install strace")
def test_a_task_and_a_vote_are_answered_after_the_log_is_on_the_disk(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        task = herald.enqueue("create a.txt: x")
        assert herald.ended(task) == "done"
        herald.idle()
        log = tmp_path / "trace"
        words = ["strace", "-f", "-y", "-s", "9000", "-e", _CALLS, "-o", str(log), "-p", str(herald.pid("worker"))]
        tracer = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        assert tracer.stderr is not None
        line = tracer.stderr.readline()
        if "attached" not in line:
            tracer.wait()
            pytest.skip(f"strace cannot attach here: {line.strip()}")
        try:
            herald.enqueue("say traced", key="traced-task")
            herald.call("worker", "Vote", key="traced-vote", vote="approve", project=site.project)
            wait_for(lambda: _VOTED.search(log.read_text()), "the vote's answer")
        finally:
            os.kill(tracer.pid, signal.SIGINT)
            tracer.communicate()
        trace = log.read_text()
        for key, answer in (("traced-task", _TAKEN), ("traced-vote", _VOTED)):
            written = re.compile(rf'pwrite64\(\d+<[^>]*worker.sqlite-wal>, ".*{key}').search(trace)
            assert written is not None
            synced = _SYNCED.search(trace, written.end())
            answered = answer.search(trace)
            assert synced is not None
            assert answered is not None
            assert written.start() < synced.start() < answered.start()
        herald.finish()
