"""One reader under libFuzzer: ``python -m tests.fuzz.worker NAME RUNS SECONDS FOLDER``; ``tests.fuzz.run`` starts it.

A find does not end the run: it is kept once for each place in the code that failed, and the fuzzer goes on.
What came of it is in ``FOLDER/report.json``.
"""

from __future__ import annotations

import hashlib
import logging
import sys
import time
from pathlib import Path

import atheris
import msgspec
import structlog

from tests.fuzz.report import PACKAGES, Report, signature

HANGS = 20
"""Seconds after which libFuzzer ends the run and keeps the input."""
MOST_FINDS = 40


class Target:
    """Runs the laws on each input, and keeps account of them."""

    def __init__(self, name: str, folder: Path, runs: int) -> None:
        from tests.fuzz.readers import READERS

        self._check = READERS[name].check
        self._folder, self._runs = folder, runs
        self._report = Report()
        self._told = 0.0
        self._known: set[str] = set()

    def __call__(self, data: bytes) -> None:
        begun = time.perf_counter()
        try:
            self._check(data)
        except Exception as error:
            self._keep(error, data)
        took = (time.perf_counter() - begun) * 1000
        self._report.inputs += 1
        if took > self._report.slowest and self._report.inputs > 1:  # the first one loads what it needs
            self._report.slowest, self._report.slowest_input = took, data.hex()
        if begun - self._told > 1 or self._report.inputs == self._runs:
            self._told = begun
            self._write()

    def _keep(self, error: Exception, data: bytes) -> None:
        what = signature(error)
        if what in self._known or len(self._known) >= MOST_FINDS:
            return
        self._known.add(what)
        path = self._folder / f"find-{hashlib.sha1(what.encode()).hexdigest()[:10]}"
        path.write_bytes(data)
        self._report.finds[what] = path.name
        self._write()

    def _write(self) -> None:
        draft = self._folder / "report.new"
        draft.write_bytes(msgspec.json.encode(self._report))
        draft.replace(self._folder / "report.json")


def main() -> None:
    name, runs, seconds, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with atheris.instrument_imports(include=list(PACKAGES), enable_loader_override=False):
        target = Target(name, folder, runs)
    from tests.fuzz.readers import READERS
    from tests.fuzz.seeds import seeds, words

    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    kept = sorted((Path(__file__).parent / "finds" / name).glob("*"))
    for number, seed in enumerate([*seeds(name), *(path.read_bytes() for path in kept)]):
        (corpus / f"seed-{number:04d}").write_bytes(seed)
    options = [
        f"-runs={runs}",
        "-seed=1",
        f"-max_len={READERS[name].longest}",
        f"-timeout={HANGS}",
        "-rss_limit_mb=3000",
    ]
    options += [
        f"-artifact_prefix={folder}/ended-",
        "-print_final_stats=1",
        "-len_control=20",
    ]
    options += [f"-max_total_time={seconds}"] if seconds else []
    if listed := words(name):
        (folder / "words").write_text("".join(f'"{_escaped(word)}"\n' for word in listed))
        options.append(f"-dict={folder / 'words'}")
    atheris.Setup([sys.argv[0], *options, str(corpus)], target)
    atheris.Fuzz()


def _escaped(word: str) -> str:
    return "".join(
        chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02X}" for b in word.encode("utf-8", "replace")
    )


if __name__ == "__main__":
    main()
