"""`kinemark serve` and `kinemark worker`: clips over HTTP."""

from __future__ import annotations

import signal
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinemark.cli.output import err
from kinemark.errors import RequestError

if TYPE_CHECKING:
    from kinemark.server.worker import Worker

_HERE = ("127.0.0.1", "::1", "localhost")

Database = Annotated[
    str | None,
    typer.Option(help="sqlite:///path, or postgresql://user@host/name.", show_default="in KINEMARK_HOME"),
]
Storage = Annotated[str | None, typer.Option(help="A folder, or s3://bucket/prefix.", show_default="in KINEMARK_HOME")]


def serve(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.")] = 8000,
    database: Database = None,
    storage: Storage = None,
    workers: Annotated[
        str, typer.Option(help="Worker processes beside it; 0 leaves them to kinemark worker; ray[:MOST] to Ray.")
    ] = "1",
    model: Annotated[str, typer.Option(help="Makes what is asked of no model by name.")] = "spark",
) -> None:
    """Serve the Videos API, with workers that make what is asked; the checks of prompts and files, too."""
    require_server()
    import uvicorn

    from kinemark.catalogue import find_model
    from kinemark.server.app import api_app
    from kinemark.server.batcher import look_after
    from kinemark.server.courier import LOOK, deliver
    from kinemark.server.database import open_database
    from kinemark.server.names import read_names
    from kinemark.server.on_ray import RayWorkers, parse_workers
    from kinemark.server.processes import Workers
    from kinemark.server.repeat import repeating
    from kinemark.server.service import Service
    from kinemark.server.store import open_store
    from kinemark.server.sweep import SWEEP, sweep
    from kinemark.server.tracing import start_tracing
    from kinemark.settings import load_settings

    settings = load_settings()
    start_tracing(settings, "kinemark-server")
    find_model(model)
    beside, on_ray = parse_workers(workers)
    settings.home.mkdir(parents=True, exist_ok=True)
    where, files = database or settings.database_url, storage or settings.storage_url
    service = Service.on(
        open_database(where),
        open_store(files),
        settings,
        read_names(settings.aliases_path, model),
        keyless=host in _HERE,
    )
    if not service.keyless and not service.accounts.all():
        raise RequestError(f"nobody has a key, and {host} can be reached by others; make one: kinemark keys create")
    console = err()
    console.print(f"Serving at http://{host}:{port}/v1 ({'no keys asked for' if service.keyless else 'with API keys'})")
    console.print(f"Use it: OPENAI_BASE_URL=http://{host}:{port}/v1 python your_script.py", soft_wrap=True)
    # What the environment says they read there: an address may hold a password, and arguments are for everybody to see.
    given = [*(["--database", where] if database else []), *(["--storage", files] if storage else [])]
    delivering = partial(deliver, service.webhooks, private=settings.private_addresses)
    with (
        RayWorkers(settings.ray, where, files, warm=model, most=on_ray) if on_ray else Workers(beside, given),
        repeating(lambda: sweep(service) < 0, SWEEP),
        repeating(delivering, LOOK),
        repeating(lambda: look_after(service), LOOK),
    ):
        uvicorn.run(
            api_app(service),
            host=host,
            port=port,
            log_level="warning",
            timeout_graceful_shutdown=10,
            timeout_keep_alive=65,
        )


def worker(
    database: Database = None,
    storage: Storage = None,
    until_stdin_ends: Annotated[bool, typer.Option("--until-stdin-ends", hidden=True)] = False,
) -> None:
    """Make what is asked of a server that shares this database and storage."""
    require_server()
    import logging

    from kinemark.server.database import open_database
    from kinemark.server.jobs import Jobs
    from kinemark.server.store import open_store
    from kinemark.server.tracing import start_tracing
    from kinemark.server.worker import Worker
    from kinemark.settings import load_settings

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = load_settings()
    start_tracing(settings, "kinemark-worker")
    settings.home.mkdir(parents=True, exist_ok=True)
    jobs = Jobs(open_database(database or settings.database_url))
    working = Worker(jobs, open_store(storage or settings.storage_url), settings)
    _stop_when_told(working)
    if until_stdin_ends:
        threading.Thread(target=_stop_with_stdin, args=(working,), daemon=True).start()
    working.run()


def _stop_when_told(working: Worker) -> None:
    def stop(_signal: int, _frame: Any) -> None:  # noqa: ANN401
        working.stop.set()

    assert threading.current_thread() is threading.main_thread()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _stop_with_stdin(working: Worker) -> None:
    """Stop once whoever holds the other end of stdin is gone."""
    sys.stdin.buffer.read()
    working.stop.set()


def require_server() -> None:
    """Make sure that what the server needs is installed."""
    try:
        import alembic
        import obstore
        import sqlalchemy
        import uvicorn
    except ModuleNotFoundError as error:
        raise RequestError(
            f"the server needs {error.name}, which is not installed; install it: pip install 'kinemark[server]'"
        ) from error
    del alembic, obstore, sqlalchemy, uvicorn
