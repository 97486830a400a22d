"""Where settings come from: the file, then ``GUARDRAIL_…`` in the environment, then the command line.

Each later source overrides the one before it, key by key. All are laid over one another as plain data,
with a note of who said what, so that an error can name the line, variable or option to change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import BaseModel
from ruamel.yaml import YAML

from guardrail.settings_model import Settings
from guardrail.settings_yaml import Document, Loc
from guardrail.yamlread import NOT_YAML, is_too_much

PREFIX = "GUARDRAIL_"
# Kubernetes puts these into every pod beside a Service that is called "guardrail".
_SERVICE_LINKS = re.compile(r"GUARDRAIL_(SERVICE_(HOST|PORT.*)|PORT(_.*)?)")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET_KEYS = ("secret", "admin_token", "token", "url", "redis_url")
MAX_SECRET = 64 * 1024
MAX_DEPTH = 16
MAX_VALUES = 10_000
"""Values in the file, each alias counted as what it stands for: a few lines of aliases can stand for millions."""

Tree = dict[str, object]


class Sources:
    """The settings as given, not yet checked. ``faults`` are those of reading: (place, ``what; what to do``)."""

    def __init__(self, document: Document | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> None:
        self._document = document
        self._environ = environ
        self._origins: dict[Loc, str] = {}
        self.faults: list[tuple[str, str]] = []
        self.tree: Tree = {}
        self._values = 0
        base = Path.cwd()
        if document is not None:
            base = document.path.parent.resolve()
            self.tree = self._filled(document.data, (), base)
            for name, (line, column) in document.repeated:
                self._fault(f"{document.path}:{line}:{column}", f"{name} is given twice; keep one of them")
        self._absolute(self.tree, base)
        self._overlay_environment()
        for key, value in overrides.items():
            if value is not None:
                self._put((key,), value, "--" + key.replace("_", "-"))
        self._absolute(self.tree, Path.cwd())

    def place(self, loc: Loc, *, key: bool = False) -> str:
        """Who said this: ``guardrail.yaml:LINE:COL``, a variable, or an option; the key itself if nobody did."""
        for length in range(len(loc), 0, -1):
            if (origin := self._origins.get(loc[:length])) is not None:
                return origin
        if self._document is None:
            return ".".join(str(part) for part in loc) or "settings"
        line, column = self._document.key(loc) if key else self._document.value(loc)
        return f"{self._document.path}:{line}:{column}"

    def _fault(self, place: str, what: str) -> None:
        self.faults.append((place, what))

    def _put(self, loc: Loc, value: object, origin: str) -> None:
        if isinstance(value, str) and not _is_unicode(value):
            self._fault(origin, "not UTF-8 text; set it again")
            return
        node = self.tree
        for part in loc[:-1]:
            child = node.get(str(part))
            if not isinstance(child, dict):
                child = node[str(part)] = {}
            node = child
        node[str(loc[-1])] = value
        self._origins[loc] = origin

    def _absolute(self, tree: Tree, base: Path) -> None:
        """Paths in the file are relative to its folder, all others to where the command was started."""
        data = tree.setdefault("data", "data")
        if isinstance(data, str | Path):
            tree["data"] = str(base / Path(data).expanduser())
        keys = tree.get("trusted_keys")
        if isinstance(keys, list):
            tree["trusted_keys"] = [str(base / Path(k)) if _is_file(k) else k for k in keys]
        model = tree.get("model")
        if isinstance(model, dict) and isinstance(folder := model.get("folder"), str) and _is_folder(folder):
            model["folder"] = str(base / Path(folder).expanduser())
        judges = tree.get("judges")
        for judge in judges.values() if isinstance(judges, dict) else ():
            if isinstance(judge, dict):
                _absolute_judge(judge, base)
        for key in ("policies", "shadow_policies"):
            packs = tree.get(key)
            if isinstance(packs, list | tuple):
                tree[key] = [str(base / Path(p)) if _is_folder(p) else p for p in packs]

    # --- the file

    def _filled(self, tree: Mapping[str, object], loc: Loc, base: Path) -> Tree:
        """The same data with ``${NAME}`` and ``…_file`` taken in."""
        out: Tree = {}
        for key, value in ((str(name), value) for name, value in tree.items()):
            secret = key.removesuffix("_file")
            if key.endswith("_file") and secret in _SECRET_KEYS:
                if secret in tree:
                    self._fault(self.place((*loc, key), key=True), f"{secret} and {key} are both given; keep one")
                elif (text := self._from_file(base / str(value), self.place((*loc, key)))) is not None:
                    out[secret] = text
                    if self._document is not None:
                        self._origins[(*loc, secret)] = self.place((*loc, key))
            else:
                out[key] = self._resolved(value, (*loc, key), base)
        return out

    def _resolved(self, value: object, loc: Loc, base: Path) -> object:
        self._values += 1
        if self._values > MAX_VALUES:
            if self._values == MAX_VALUES + 1:
                self._fault(self.place(loc), f"more than {MAX_VALUES} values; look for aliases that contain aliases")
            return None
        if len(loc) > MAX_DEPTH:
            self._fault(self.place(loc), "nested too deeply; no setting is, look for an alias that contains itself")
            return None
        if isinstance(value, dict):
            return self._filled(value, loc, base)
        if isinstance(value, list):
            return [self._resolved(item, (*loc, place), base) for place, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        for name in _REFERENCE.findall(value):
            if not self._environ.get(name):
                self._fault(self.place(loc), f"the environment has no {name}; set it, or write the value here")
        return _REFERENCE.sub(lambda match: self._environ.get(match[1], ""), value)

    def _from_file(self, path: Path, place: str) -> str | None:
        try:
            with path.open("rb") as file:
                text = file.read(MAX_SECRET).decode().strip()
        except (OSError, UnicodeDecodeError):
            text = ""
        if not text:
            self._fault(place, "the file it names is empty or cannot be read; check its path and permissions")
            return None
        return text

    # --- the environment

    def _overlay_environment(self) -> None:
        if self._environ.get("REDIS_URL"):
            self._put(("redis_url",), self._environ["REDIS_URL"], "REDIS_URL")
        for variable, raw in self._variables():
            name, value = variable.removeprefix(PREFIX), raw
            stem = name.removesuffix("_FILE")
            if stem != name and stem.lower().rpartition("__")[2] in _SECRET_KEYS:
                if self._environ.get(PREFIX + stem):
                    self._fault(variable, f"{PREFIX}{stem} is set too; keep one of them")
                    continue
                text = self._from_file(Path(raw), variable)
                if text is None:
                    continue
                name, value = stem, text
            loc = tuple(name.lower().split("__"))
            self._put(loc, _typed(value, loc), variable)

    def _variables(self) -> Iterator[tuple[str, str]]:
        """Shorter names first, so that a key inside a group overrides the whole group. Empty means not set."""
        for name in sorted(self._environ, key=lambda name: (name.count("__"), name)):
            if name.startswith(PREFIX) and self._environ[name] and not _SERVICE_LINKS.fullmatch(name):
                yield name, self._environ[name]


def _absolute_judge(judge: Tree, base: Path) -> None:
    """One judge's paths; and a label that means one thing as a list of one."""
    if isinstance(policy := judge.get("policy"), str) and policy:
        judge["policy"] = str(base / Path(policy))
    # With a slash alone it may also be the name of a model: OWNER/NAME.
    if isinstance(path := judge.get("path"), str) and path.startswith((".", "/")):
        judge["path"] = str(base / Path(path))
    if isinstance(signals := judge.get("signals"), dict):
        judge["signals"] = {label: [said] if isinstance(said, dict) else said for label, said in signals.items()}


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _is_file(key: object) -> bool:
    return isinstance(key, str) and key.endswith(".pub")


def _is_folder(pack: object) -> bool:
    return isinstance(pack, Path) or (isinstance(pack, str) and ("/" in pack or pack.startswith(".")))


def _typed(raw: str, loc: Loc) -> object:
    """A variable is text: it is read as YAML only where a setting is no text, and left as it is elsewhere."""
    kind = _kind(loc)
    if kind == "text":
        return None if raw == "null" else raw
    try:
        value = raw if is_too_much(raw.encode()) else YAML(typ="safe", pure=False).load(raw)
    except NOT_YAML:
        return raw
    return [part.strip() for part in value.split(",")] if kind == "list" and isinstance(value, str) else value


def _kind(loc: Loc) -> str:
    """``text``, ``list`` or ``other``, by the type of the setting at ``loc``."""
    model: type[BaseModel] = Settings
    for place, part in enumerate(loc):
        field = model.model_fields.get(str(part))
        if field is None:
            return "text"
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
            continue
        if place < len(loc) - 1:
            return "text"
        origin = get_origin(annotation)
        if origin is tuple:
            return "list"
        is_flag = origin is Literal and any(isinstance(value, bool) for value in get_args(annotation))
        return "other" if is_flag or origin is Mapping or annotation in (int, float) else "text"
    return "other"
