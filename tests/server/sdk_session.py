"""What an old script does with the Python SDK, whichever version it finds; prints what came of it as JSON.

OPENAI_BASE_URL=... OPENAI_API_KEY=... python sdk_session.py PICTURE FOLDER
"""

import json
import sys
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore", DeprecationWarning)

import openai  # noqa: E402  its import warns already

picture, folder = Path(sys.argv[1]), Path(sys.argv[2])
client = openai.OpenAI()
told = {"version": openai.__version__}
AT = {"seconds": "1", "size": "256x144"}

video = client.videos.create(prompt="a red sailboat drifts right across the sea", model="sora-2", **AT)
told["created"] = video.to_dict()
video = client.videos.poll(video.id, poll_interval_ms=100)
told["polled"] = video.to_dict()
told["retrieved"] = client.videos.retrieve(video.id).to_dict()
for variant in ("video", "thumbnail", "spritesheet"):
    content = client.videos.download_content(video.id, variant=variant)
    content.write_to_file(folder / variant)
with client.videos.with_streaming_response.download_content(video.id) as response:
    told["streamed"] = sum(len(piece) for piece in response.iter_bytes())

reference = client.videos.create(prompt="a red sailboat", input_reference=picture, **AT)
told["with_reference"] = client.videos.poll(reference.id, poll_interval_ms=100).to_dict()
remix = client.videos.remix(video.id, prompt="a red sailboat drifts right across the sea at night")
told["remixed"] = client.videos.poll(remix.id, poll_interval_ms=100).to_dict()

kind = type(video)
edit = client.post("/videos/edits", body={"prompt": "a blue sailboat", "video": {"id": video.id}}, cast_to=kind)
told["edited"] = client.videos.poll(edit.id, poll_interval_ms=100).to_dict()
body = {"prompt": "it sails on", "seconds": "1", "video": {"id": video.id}}
extension = client.post("/videos/extensions", body=body, cast_to=kind)
told["extended"] = client.videos.poll(extension.id, poll_interval_ms=100).to_dict()
if hasattr(client.videos, "extend"):
    with (folder / "video").open("rb") as file:
        upload = ("clip.mp4", file.read(), "video/mp4")
    longer = client.videos.extend(prompt="it sails on", seconds="1", video=upload)
    told["extended_upload"] = client.videos.poll(longer.id, poll_interval_ms=100).to_dict()
if hasattr(client.videos, "edit"):
    changed = client.videos.edit(prompt="a blue sailboat", video=upload)
    told["edited_upload"] = client.videos.poll(changed.id, poll_interval_ms=100).to_dict()

if hasattr(client.videos, "create_character"):
    try:
        client.videos.create_character(name="Ada", video=upload)
    except openai.BadRequestError as error:
        told["character"] = error.code

line = {"custom_id": "one", "method": "POST", "url": "/v1/videos", "body": {"prompt": "a red sailboat", **AT}}
lines = ("lines.jsonl", json.dumps(line).encode(), "application/jsonl")
kept = client.files.create(file=lines, purpose="batch")
told["file"] = client.files.retrieve(kept.id).to_dict()
batch = client.batches.create(input_file_id=kept.id, endpoint="/v1/videos", completion_window="24h")
told["batches"] = [one.id for one in client.batches.list()]
while batch.status not in ("completed", "failed"):
    time.sleep(0.2)
    batch = client.batches.retrieve(batch.id)
told["batch"] = batch.to_dict()
told["answered"] = json.loads(client.files.content(batch.output_file_id).text)
told["file_deleted"] = client.files.delete(kept.id).deleted
if hasattr(client, "content_provenance_checks"):
    shown = client.content_provenance_checks.create(file=picture)
    told["checked"] = shown.to_dict()

told["listed"] = [one.id for one in client.videos.list(limit=2)]
told["oldest"] = [one.id for one in client.videos.list(limit=3, order="asc")]
errors = {}
for name, call in {
    "missing": lambda: client.videos.retrieve("video_unknown"),
    "refused": lambda: client.videos.create(prompt="a naked child", **AT),
    "size": lambda: client.videos.create(prompt="a boat", size="10x10"),
    "seconds": lambda: client.videos.create(prompt="a boat", seconds="61"),
    "key": lambda: client.with_options(api_key="km_0_0").videos.list(),
}.items():
    try:
        call()
    except openai.APIStatusError as error:
        errors[name] = {"class": type(error).__name__, "code": error.code, "param": error.param, "id": error.request_id}
told["errors"] = errors
told["deleted"] = client.videos.delete(video.id).to_dict()
print(json.dumps(told))
