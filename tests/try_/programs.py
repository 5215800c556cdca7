"""Programs for the units of a test. They import nothing that is slow: many of them are started."""

NOTIFY = """
import array, os, socket

def notify(text, *fds):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(os.environ["NOTIFY_SOCKET"])
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sender.sendmsg([text.encode()], rights)
"""

SERVER = (
    NOTIFY
    + """
import fcntl, signal, time

listener = socket.socket(fileno=3)
notify("READY=1")
while True:
    connection, _ = listener.accept()
    with connection, connection.makefile("r") as lines:
        answer = str(eval(lines.readline()))
        connection.sendall(answer.encode() + b"\\n")
"""
)
"""A service that evaluates each line that it is sent."""

INSTANCE = (
    NOTIFY
    + """
import fcntl, signal, subprocess, sys, time

connection = socket.socket(fileno=os.dup(0))
notify("READY=1")
with connection.makefile("r") as lines:
    for line in lines:
        try:
            answer = str(eval(line))
        except SyntaxError:
            exec(line)
            answer = "done"
        connection.sendall(answer.encode() + b"\\n")
"""
)
"""An instance that evaluates or executes each line that it is sent."""

LOCKING = (
    NOTIFY
    + """
import fcntl, signal, subprocess, sys, time

lock = os.open(sys.stdin.readline().strip(), os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
notify("FDSTORE=1\\nFDNAME=lock", lock)
notify("READY=1")
# Out of the process group, out of the session, deaf to SIGTERM, and with children that do the same.
LEFT = "import os, signal, time; signal.signal(15, 1); [os.fork() for _ in range(4)]; os.setsid(); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", "import os; os.fork() or os.setsid(); " + LEFT], start_new_session=True)
time.sleep(0.3)
os.write(0, b"locked\\n")
time.sleep(600)
"""
)
"""An instance that locks a file, stores the lock and leaves processes behind that try to get away."""
