"""Takes pip's own wheel from the package index that pip is set up to use (Simple API, PEP 503).

Where that is: ``PIP_INDEX_URL``, then pip's configuration files as pip ranks them, else pypi.org; extra indexes
are asked when the first has none. Standard library only.
"""

from __future__ import annotations

import base64
import configparser
import hashlib
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

PYPI = "https://pypi.org/simple"
_WHEEL = re.compile(r"pip-(\d+(?:\.\d+)*)-py3-none-any\.whl")
_PAGE_LIMIT, _WHEEL_LIMIT = 16 * 1024**2, 32 * 1024**2
_TIMEOUT = 60.0


class NoPip(Exception):
    """No usable wheel was found; the message says where was looked."""


class Config:
    """The few of pip's settings that matter here. An environment variable wins over every file."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._files = configparser.RawConfigParser(strict=False)
        self._files.read(_config_files(environment), encoding="utf-8")

    def get(self, name: str) -> str:
        """``index-url`` and the like; "" when nobody set it."""
        if value := self._environment.get("PIP_" + name.upper().replace("-", "_")):
            return value
        for section in ("install", "global"):
            if value := self._files.get(section, name, fallback=""):
                return value
        return ""

    @property
    def indexes(self) -> list[str]:
        """Base addresses, the one to ask first at the front."""
        return [self.get("index-url") or PYPI, *self.get("extra-index-url").split()]


def _config_files(environment: Mapping[str, str]) -> list[Path]:
    """Those that pip reads, later ones win."""
    home = Path(environment.get("HOME", "/"))
    system = [Path(d) / "pip" / "pip.conf" for d in environment.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")]
    user = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    named = environment.get("PIP_CONFIG_FILE", "")
    if named == "/dev/null":
        return []
    return [*system, Path("/etc/pip.conf"), home / ".pip" / "pip.conf", user, *([Path(named)] if named else [])]


class _Links(HTMLParser):
    """The wheels of a project page: ``(version, address, sha256)``; yanked and unhashed ones are left out."""

    def __init__(self, base: str, python: tuple[int, int]) -> None:
        super().__init__()
        self._base, self._python = base, python
        self.found: list[tuple[tuple[int, ...], str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        a = dict(attrs)
        address, fragment = urldefrag(urljoin(self._base, a.get("href") or ""))
        name = _WHEEL.fullmatch(unquote(urlsplit(address).path.rpartition("/")[2]))
        sha256 = re.fullmatch(r"sha256=([0-9a-f]{64})", fragment)
        least = re.search(r">=\s*(\d+)\.(\d+)", a.get("data-requires-python") or "")
        is_new_enough = least is None or (int(least[1]), int(least[2])) <= self._python
        if tag == "a" and name and sha256 and is_new_enough and "data-yanked" not in a:
            self.found.append((tuple(map(int, name[1].split("."))), address, sha256[1]))


def fetch(folder: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> Path:
    """Put the newest wheel of pip into ``folder``, its hash checked. Raises ``NoPip``."""
    config = Config(environment)
    context = ssl.create_default_context(cafile=config.get("cert") or None)
    tried = []
    for index in config.indexes:
        base = index.rstrip("/") + "/pip/"
        try:
            return _from_page(base, folder, context, say)
        except (NoPip, urllib.error.URLError, OSError, ValueError) as error:
            tried.append(f"{urlsplit(base).hostname or 'a local index'} ({error})")
    raise NoPip("no pip to be had from " + ", ".join(tried) + "; install python3-venv, or set PIP_INDEX_URL")


def _from_page(base: str, folder: Path, context: ssl.SSLContext, say: Callable[[str], None]) -> Path:
    page, address = _read(base, _PAGE_LIMIT, context)
    links = _Links(address, (3, 11))
    links.feed(page.decode("utf-8"))
    if not links.found:
        raise NoPip("no wheel of pip with a sha256")
    _, address, sha256 = max(links.found)
    name = urlsplit(address).path.rpartition("/")[2]
    say(f"{name} from the package index")
    data, _ = _read(address, _WHEEL_LIMIT, context)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise NoPip(f"{name} is not what the index says it is")
    (folder / name).write_bytes(data)
    return folder / name


def _read(address: str, limit: int, context: ssl.SSLContext) -> tuple[bytes, str]:
    """The bytes and the address they came from in the end. A name and password go into a header, as pip does."""
    parts = urlsplit(address)
    headers = {"accept": "text/html", "user-agent": "bootstrap"}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    request = urllib.request.Request(bare, headers=headers)
    with urllib.request.urlopen(request, timeout=_TIMEOUT, context=context) as answer:
        data: bytes = answer.read(limit + 1)
        final: str = answer.url
    if len(data) > limit:
        raise NoPip("an answer that is too large")
    # What the page links to on the same host needs the same name and password.
    if parts.username is not None and urlsplit(final).netloc == urlsplit(bare).netloc:
        userinfo = parts.netloc.rpartition("@")[0]
        final = urlsplit(final)._replace(netloc=f"{userinfo}@{urlsplit(final).netloc}").geturl()
    return data, final
