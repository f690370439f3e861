"""Files by their digest, in a folder and in a bucket of a server that speaks S3."""

import asyncio
import hashlib
import os
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from kinemark.errors import FailureError, RequestError
from kinemark.server.store import CHUNK, MissingError, open_store

CONTENT = os.urandom(2 * CHUNK + 12345)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def bucket_server():
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path, monkeypatch):
    if request.param == "folder":
        return open_store(tmp_path / "files")
    endpoint = request.getfixturevalue("bucket_server")
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="clips")
    return open_store(f"s3://clips/{tmp_path.name}")


def kept(store, tmp_path):
    (tmp_path / "clip").write_bytes(CONTENT)
    return store.put(tmp_path / "clip")


def streamed(store, start, stop):
    async def read():
        return b"".join([piece async for piece in store.stream(DIGEST, start, stop)])

    return asyncio.run(read())


def test_what_is_put_comes_back(store, tmp_path):
    assert not store.has(DIGEST)
    assert kept(store, tmp_path) == (DIGEST, len(CONTENT))
    assert store.has(DIGEST)
    store.fetch(DIGEST, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("start", "stop"), [(0, len(CONTENT)), (5, 6), (CHUNK - 1, CHUNK + 1), (len(CONTENT) - 3, len(CONTENT)), (7, 7)]
)
def test_any_part_of_it(store, tmp_path, start, stop):
    kept(store, tmp_path)
    assert streamed(store, start, stop) == CONTENT[start:stop]


def test_what_is_deleted_is_gone(store, tmp_path):
    kept(store, tmp_path)
    store.delete(DIGEST)
    store.delete(DIGEST)
    assert not store.has(DIGEST)
    with pytest.raises(MissingError, match=r"the storage .* has no such file"):
        store.fetch(DIGEST, tmp_path / "back")


def test_a_file_that_changed_is_not_given_out(tmp_path):
    store = open_store(tmp_path / "files")
    kept(store, tmp_path)
    (tmp_path / "files" / DIGEST[:2] / DIGEST).write_bytes(b"another")
    with pytest.raises(FailureError, match="is not what was stored"):
        store.fetch(DIGEST, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_addresses_that_are_none(tmp_path):
    with pytest.raises(RequestError, match="give a folder, or s3://bucket/prefix"):
        open_store("gopher://clips")
    (tmp_path / "file").touch()
    with pytest.raises(FailureError, match="cannot be made"):
        open_store(tmp_path / "file" / "below")
    assert Path(open_store(f"file://{tmp_path}/there").name.removeprefix("file://")).is_dir()


def test_a_full_or_lost_folder_is_said(tmp_path):
    store = open_store(tmp_path / "files")
    (tmp_path / "files").rmdir()
    (tmp_path / "files").touch()
    with pytest.raises(FailureError, match="see that it is there and has room"):
        kept(store, tmp_path)
