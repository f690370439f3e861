"""The client against a server that really listens, once with and once without `await`."""

import asyncio
import inspect
import json
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from live import Server, Working, service_of

from kinemark.client import ApiError, AsyncClient, Client
from kinemark.provenance.detect import verify
from kinemark.server.app import api_app
from kinemark.settings import Settings

AT = {"seconds": 1, "size": "128x128"}


class Both:
    """A client of either colour, called without `await`."""

    def __init__(self, url, colour, **options):
        self._runner = asyncio.new_event_loop()
        self.client = (Client if colour == "sync" else AsyncClient)(url, **options)

    def __getattr__(self, name):
        def call(*arguments, **options):
            found = getattr(self.client, name)(*arguments, **options)
            if inspect.isasyncgen(found):
                return self._runner.run_until_complete(self._all(found))
            if inspect.iscoroutine(found):
                return self._runner.run_until_complete(found)
            return list(found) if inspect.isgenerator(found) else found

        return call

    @staticmethod
    async def _all(found):
        return [one async for one in found]

    def close(self):
        if isinstance(self.client, Client):
            self.client.__exit__(None, None, None)
        else:
            self._runner.run_until_complete(self.client.__aexit__(None, None, None))
        self._runner.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    settings = Settings(home=folder / "home")
    service = service_of(settings, f"sqlite:///{folder / 'jobs.sqlite'}", folder / "files")
    with Working(service), Server(api_app(service)) as server:
        yield f"http://127.0.0.1:{server.port}/v1", settings
    service.jobs._engine.dispose()


@pytest.fixture(params=["sync", "async"])
def client(request, served):
    both = Both(served[0], request.param)
    yield both
    both.close()


@pytest.mark.slow
def test_from_asking_to_a_file(client, served, tmp_path):
    ramp = np.linspace(0, 255, 128 * 128 * 3).reshape(128, 128, 3).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "first.png")
    asked = client.create("a red boat", image=tmp_path / "first.png", seed=3, **AT)
    assert (asked.status, asked.over, asked.seconds, asked.size) == ("queued", False, 1.0, "128x128")
    events = client.events(asked)
    assert [one.id for one in events] == [asked.id] * len(events)
    assert (events[-1].status, events[-1].over, events[-1].progress) == ("completed", True, 100), events[-1].error
    assert client.wait(asked) == client.retrieve(asked.id) == events[-1]
    assert events[-1].more["seed"] == 3
    path = client.save(asked, tmp_path / "boat.mp4")
    assert verify(path, served[1]).recognised
    client.save(asked, tmp_path / "boat.webp", variant="thumbnail")
    longer = client.wait(client.extend(asked, "it sails on", seconds=0.5))
    assert longer.seconds == 1.5
    remixed, looped = client.remix(asked, "a blue boat"), client.loop(asked, "a boat", seconds=0.5)
    both = client.connect(asked, longer, "a boat", seconds=0.5)
    blended = client.blend(asked, longer, "a boat", curve=[[0, 1], [1, 0]])
    cut = client.recut(longer, "a boat", keep=[{"start": 0, "end": 0.5}], negative_prompt="snow", guidance=3)
    assert [client.wait(made).error for made in (blended, cut)] == [None, None]
    ids = [one.id for one in client.list()]
    assert ids[:7] == [one.id for one in (cut, blended, both, looped, remixed, longer, asked)]
    for video in (both, looped, remixed):
        client.delete(video)
    assert len(client.list()) == len(ids) - 3


def test_what_the_server_says_no_to(client, tmp_path):
    for call, status, code in (
        (lambda: client.create("a naked child", **AT), 400, "moderation_blocked"),
        (lambda: client.create("a boat", seconds=99, size="128x128"), 400, "invalid_value"),
        (lambda: client.retrieve("video_unknown"), 404, "not_found"),
        (lambda: client.events("video_unknown"), 404, "not_found"),
        (lambda: client.save("video_unknown", tmp_path / "clip.mp4"), 404, "not_found"),
    ):
        with pytest.raises(ApiError) as error:
            call()
        assert (error.value.status, error.value.error["code"]) == (status, code)
        assert str(error.value) == error.value.error["message"]
    assert not list(tmp_path.iterdir())


def transport(colour, answers, seen):
    def answer(request):
        seen.append(request)
        found = answers.pop(0)
        if found is None:
            raise httpx.ConnectError("refused", request=request)
        return found

    return httpx.MockTransport(answer)


TOLD = {
    "object": "video", "id": "video_1", "status": "queued", "progress": 0, "model": "tiny", "prompt": "a boat",
    "size": "128x128", "seconds": "1", "error": None, "kinemark": {},
}  # fmt: skip


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("first", [None, 502, 503])
def test_a_request_whose_answer_was_lost_is_sent_again_under_its_name(colour, first, monkeypatch):
    monkeypatch.setattr("kinemark.client.PAUSE", 0.001)
    seen = []
    answers = [
        None if first is None else httpx.Response(first, json={"error": {"message": "x"}}),
        httpx.Response(200, json=TOLD),
    ]
    client = Both("http://server/v1", colour, transport=transport(colour, answers, seen))
    assert client.create("a boat").id == "video_1"
    names = [request.headers["idempotency-key"] for request in seen]
    assert len(names) == 2
    assert len(set(names)) == 1
    client.close()


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_events_go_on_after_a_connection_broke(colour, monkeypatch):
    monkeypatch.setattr("kinemark.client.PAUSE", 0.001)
    done = TOLD | {"status": "completed", "progress": 100}
    texts = [f"event: video\ndata: {json.dumps(told)}\n\n" for told in (TOLD, done)]
    answers = [None, httpx.Response(200, text=texts[0] + texts[1])]
    client = Both("http://server/v1", colour, transport=transport(colour, answers, []))
    assert [one.status for one in client.events("video_1")] == ["queued", "completed"]
    lost = Both("http://server/v1", colour, transport=transport(colour, [None] * 3, []))
    with pytest.raises(ApiError, match="does not answer"):
        lost.wait("video_1")
    for one in (client, lost):
        one.close()


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_it_gives_up(colour, monkeypatch):
    monkeypatch.setattr("kinemark.client.PAUSE", 0.001)
    client = Both("http://server/v1", colour, transport=transport(colour, [None] * 3, seen := []))
    with pytest.raises(ApiError, match=r"does not answer \(ConnectError\); see that it runs") as error:
        client.retrieve("video_1")
    assert (error.value.status, len(seen)) == (0, 3)
    odd = Both("http://server/v1", colour, transport=transport(colour, [httpx.Response(418, text="tea")], []))
    with pytest.raises(ApiError, match="the server answered 418"):
        odd.retrieve("video_1")
    for one in (client, odd):
        one.close()


def test_both_colours_can_do_the_same():
    methods = [
        {name: list(inspect.signature(method).parameters) for name, method in vars(kind).items() if name[0] != "_"}
        for kind in (Client, AsyncClient)
    ]
    assert methods[0] == methods[1]
