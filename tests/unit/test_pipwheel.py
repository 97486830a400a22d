"""pip's wheel runs before anything else is checked: only what the index vouches for may be taken."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tools.pipwheel import PYPI, Config, NoPip, fetch

WHEEL = b"a wheel"
SHA256 = hashlib.sha256(WHEEL).hexdigest()
NEWEST = f'<a href="../../files/pip-26.10-py3-none-any.whl#sha256={SHA256}" data-requires-python="&gt;=3.9">x</a>'
OLDER = f'<a href="../../files/pip-26.9-py3-none-any.whl#sha256={SHA256}">x</a>'


class Index:
    """A Simple index on this machine; ``page`` is what it says of pip, ``seen`` the authorization it was given."""

    def __init__(self) -> None:
        self.page = ""
        self.seen: list[tuple[str, str | None]] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.seen.append((self.path, self.headers.get("authorization")))
                body = index.page.encode() if self.path.endswith("/pip/") else WHEEL
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet: what was asked is in ``seen``."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, userinfo: str = "") -> str:
        return f"http://{userinfo}127.0.0.1:{self.server.server_port}/simple"


@pytest.fixture
def index() -> Iterator[Index]:
    made = Index()
    yield made
    made.server.shutdown()
    made.server.server_close()


def only(url: str) -> dict[str, str]:
    return {"PIP_INDEX_URL": url, "PIP_CONFIG_FILE": "/dev/null"}


def silent(_: str) -> None:
    """Progress is not what is tested."""


def test_the_newest_wheel_is_taken_by_number_not_by_letter(index: Index, tmp_path: Path) -> None:
    index.page = NEWEST + OLDER
    wheel = fetch(tmp_path, only(index.url()), silent)
    assert wheel.name == "pip-26.10-py3-none-any.whl" and wheel.read_bytes() == WHEEL


@pytest.mark.parametrize(
    "page",
    [
        "",
        NEWEST.replace(SHA256, "0" * 64),
        NEWEST.replace(f"#sha256={SHA256}", ""),
        NEWEST.replace("sha256", "md5"),
        NEWEST.replace("<a ", '<a data-yanked="" '),
        NEWEST.replace("3.9", "3.99"),
        NEWEST.replace("26.10", "26.10rc1"),
        NEWEST.replace("pip-", "pipx-"),
    ],
    ids=["empty", "another-hash", "no-hash", "weak-hash", "yanked", "newer-python", "pre-release", "another-project"],
)
def test_what_the_index_does_not_vouch_for_is_not_taken(index: Index, tmp_path: Path, page: str) -> None:
    index.page = page
    with pytest.raises(NoPip):
        fetch(tmp_path, only(index.url()), silent)
    assert not list(tmp_path.iterdir())


def test_a_name_and_password_go_to_the_index_and_into_no_error(index: Index, tmp_path: Path) -> None:
    index.page = OLDER
    fetch(tmp_path, only(index.url("me:s%40cret@")), silent)
    wanted = "Basic " + base64.b64encode(b"me:s@cret").decode()
    assert [authorization for _, authorization in index.seen] == [wanted, wanted]
    index.page = ""
    with pytest.raises(NoPip) as raised:
        fetch(tmp_path, only(index.url("me:s%40cret@")), silent)
    assert "cret" not in str(raised.value)


def test_an_extra_index_stands_in_for_one_that_does_not_answer(index: Index, tmp_path: Path) -> None:
    index.page = OLDER
    environment = {**only("http://127.0.0.1:9/simple"), "PIP_EXTRA_INDEX_URL": index.url()}
    assert fetch(tmp_path, environment, silent).exists()


def test_settings_are_ranked_as_pip_ranks_them(tmp_path: Path) -> None:
    user = tmp_path / ".config" / "pip" / "pip.conf"
    user.parent.mkdir(parents=True)
    user.write_text("[global]\nindex-url = https://user.example/simple\n")
    home = {"HOME": str(tmp_path)}
    assert Config(home).indexes[0] == "https://user.example/simple"
    assert Config({**home, "PIP_INDEX_URL": "https://env.example/simple"}).indexes[0] == "https://env.example/simple"
    named = tmp_path / "named.conf"
    named.write_text("[install]\nindex-url = https://named.example/simple\n")
    assert Config({**home, "PIP_CONFIG_FILE": str(named)}).indexes[0] == "https://named.example/simple"
    assert Config({**home, "PIP_CONFIG_FILE": "/dev/null"}).indexes == [PYPI]
