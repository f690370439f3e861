"""SGLang Diffusion's own routes for videos, with so many jobs in their store: the peer of `serve.py --peer`.

    PYTHON benchmarks/sglang_jobs.py PORT JOBS

PYTHON is that of an environment in which `sglang.multimodal_gen` can be imported (its engine is not started). Jobs are
put into the store as its POST does before it hands them to the engine.
"""

import asyncio
import sys
import time

import uvicorn
from fastapi import FastAPI
from sglang.multimodal_gen.runtime.entrypoints.openai.protocol import VideoResponse
from sglang.multimodal_gen.runtime.entrypoints.openai.stores import VIDEO_STORE
from sglang.multimodal_gen.runtime.entrypoints.openai.video_api import router

PORT, JOBS = (int(text) for text in sys.argv[1:])
app = FastAPI()
app.include_router(router)


@app.get("/readyz")
async def ready() -> dict[str, bool]:
    """For who waits until it answers."""
    return {"ready": True}


async def main() -> None:
    """Fill the store, and serve."""
    for number in range(JOBS):
        job = VideoResponse(id=f"video_{number}", created_at=int(time.time()), size="128x128", seconds="1")
        await VIDEO_STORE.upsert(job.id, job.model_dump())
    await uvicorn.Server(uvicorn.Config(app, port=PORT, log_level="warning")).serve()


asyncio.run(main())
