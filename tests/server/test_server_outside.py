"""What is asked of the world outside: public addresses, once, and a picture only where the operator allows it."""

import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from live import service_of
from starlette.testclient import TestClient
from test_server_videos import BOAT, KEY, error_of, png

from kinemark.errors import RequestError
from kinemark.server import uploads
from kinemark.server.app import api_app
from kinemark.server.outside import allowed_address, require_url
from kinemark.server.worker import Worker
from kinemark.settings import Settings


@pytest.fixture
def site():
    """A site with a picture and other things; (its address, the paths that were asked for)."""
    seen = []

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            if self.path == "/moved.png":
                self.send_response(302)
                self.send_header("Location", "/first.png")
                self.end_headers()
                return
            self.send_response(404 if self.path == "/none.png" else 200)
            self.end_headers()
            if self.path == "/first.png":
                self.wfile.write(png())
            elif self.path == "/page.html":
                self.wfile.write(b"<html>")
            elif self.path == "/long.png":
                self.wfile.write(b"\x89PNG" + bytes(3000))
            elif self.path == "/slow.png":
                for _ in range(20):
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    time.sleep(0.1)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()


@pytest.fixture
def service(tmp_path):
    settings = Settings(home=tmp_path / "home", fetch_images=True, private_addresses=True)
    return service_of(settings, f"sqlite:///{tmp_path / 'jobs.sqlite'}", tmp_path / "files")


def ask(service, url):
    with TestClient(api_app(service), headers=KEY) as http:
        return http.post("/v1/videos", json=BOAT | {"input_reference": {"image_url": url}})


def test_a_picture_is_fetched_and_a_clip_begins_with_it(service, site):
    url, seen = site
    made = ask(service, f"{url}/first.png")
    assert made.status_code == 200, made.text
    assert seen == ["/first.png"]
    assert Worker(service.jobs, service.store, service.settings).work()
    assert service.jobs.get(made.json()["id"]).status == "completed"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/none.png", "answered with 404"),
        ("/moved.png", "answered with 302"),
        ("/page.html", "of an unknown kind"),
        ("/long.png", "more than 0 MiB"),
        ("/slow.png", "takes more than 0.5 s"),
    ],
)
def test_what_is_no_picture_is_not_taken(service, site, path, says, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_FETCHED", 2000)
    monkeypatch.setattr(uploads, "PATIENCE", 0.5)
    url, seen = site
    error = error_of(ask(service, url + path), 400)
    assert says in error["message"]
    assert error["param"] == "input_reference"
    assert seen == [path]
    assert service.jobs.counts() == {}


def test_nobody_answers(service):
    error = error_of(ask(service, "http://127.0.0.1:1/first.png"), 400)
    assert (error["code"], error["param"]) == ("image_unreachable", "input_reference")


def test_nothing_is_fetched_unless_it_is_allowed_and_never_inside(service, site):
    url, seen = site
    shut = replace(service, settings=replace(service.settings, fetch_images=False))
    assert "addresses are not fetched here" in error_of(ask(shut, f"{url}/first.png"), 400)["message"]
    public = replace(service, settings=replace(service.settings, private_addresses=False))
    for inside in (
        f"{url}/first.png",
        url.replace("http", "https"),
        "https://169.254.169.254/latest",
        "file:///etc/passwd",
    ):
        error_of(ask(public, inside), 400)
    assert seen == []


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://10.0.0.1:8443/",
        "https://169.254.169.254/latest/meta-data",
        "https://0.0.0.0/",
        "https://[::ffff:127.0.0.1]/",
        "https://2130706433/",
    ],
)
def test_nothing_goes_into_private_networks(url):
    with pytest.raises(RequestError, match="only public addresses are asked"):
        allowed_address(url, private=False)


def test_public_addresses_are_taken():
    assert allowed_address("https://1.1.1.1/x", private=False) == "1.1.1.1"
    assert allowed_address("https://127.0.0.1/", private=True) == "127.0.0.1"
    with pytest.raises(RequestError, match="give an https:// address"):
        require_url("http://1.1.1.1/", private=False)
    require_url("http://1.1.1.1/", private=True)
