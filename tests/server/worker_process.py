"""A worker as a process of its own, with the tiny model and a short lease: to be killed.

python worker_process.py HOME DATABASE FILES
"""

import signal
import sys
from pathlib import Path

HERE = Path(__file__)
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

from live import service_of  # noqa: E402

from kinemark.server.worker import Worker  # noqa: E402
from kinemark.settings import Settings  # noqa: E402

home, database, files = sys.argv[1:]
service = service_of(Settings(home=Path(home)), database, files)
worker = Worker(service.jobs, service.store, service.settings, lease=3.0)
signal.signal(signal.SIGTERM, lambda *_: worker.stop.set())
print("ready", flush=True)
worker.run()
