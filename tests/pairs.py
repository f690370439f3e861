"""Two real processes, joined as torchrun joins them."""

import os
import socket

import torch
from torch import distributed, multiprocessing

from kinemark.together import join


def _one(rank, port, work, folder):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
    torch.set_num_threads(1)
    torch.save(work(join(), folder), folder / f"{rank}.pt")
    distributed.destroy_process_group()


def run_pair(work, folder):
    """What `work(together, folder)`, a function of a module, returns in each of two processes; it must be picklable."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    multiprocessing.spawn(_one, (port, work, folder), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]
