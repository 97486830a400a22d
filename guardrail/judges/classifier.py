"""A text classifier of the ``transformers`` library that an operator already has on this machine. Never downloads."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from guardrail.core.model import Context, Direction, Signal
from guardrail.detectors.run import Unread
from guardrail.judges import meanings
from guardrail.judges.course import About, Course
from guardrail.judges.folder import ModelError
from guardrail.judges.meanings import Meanings

WAITING = 256
"""Turns that may wait to be read."""
LONGEST = 20_000
"""Code points of a turn that is read."""

PIECE, STEP = 400, 300
"""Code points that are read at a time, and how far apart they begin: such models take a few hundred tokens."""

Classify = Callable[[str], Mapping[str, float]]
"""A text's score (0-1) by label, every label of the model."""


def load(path: str) -> tuple[Classify, frozenset[str]]:
    """The classifier in a folder, or of a name in the local cache, and its labels. Raises ``ModelError``."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # before the library is imported: it reads this once
    try:
        import transformers
    except ImportError:
        raise ModelError(
            "kind: transformers needs a library that is not installed; pip install 'crisis-guardrail[transformers]'"
        ) from None
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(path, local_files_only=True)
        pipeline: Any = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer)
    except Exception as error:  # of many types, whose texts go on for lines
        raise ModelError(
            f"{path}: cannot be loaded as a classifier ({type(error).__name__}); name a folder that holds one"
        ) from None

    def classify(text: str) -> Mapping[str, float]:
        # Nothing is cut off: what a model cannot take is a failure, and not a text of which it has read the beginning.
        return {found["label"]: found["score"] for found in pipeline(text, top_k=None)}

    return classify, frozenset(model.config.id2label.values())


class Classifier:
    """A ``Detector`` that ``submit``s: one thread reads for everybody."""

    blocking = True
    by_sentence = True

    def __init__(
        self,
        name: str,
        classify: Classify,
        signals: Meanings,
        *,
        directions: frozenset[Direction],
        deadline: float,
        required: bool,
        only_unsure: bool,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.directions, self.deadline = name, directions, deadline
        self.required, self.only_unsure = required, only_unsure
        self._classify, self._meanings = classify, signals
        self._course = Course(now)
        self._waiting: set[Future[list[Signal]]] = set()
        self._pool = ThreadPoolExecutor(1, name)

    def look(self, text: str, context: Context) -> Sequence[Signal]:
        return self.submit(text, context).result()

    def submit(self, text: str, context: Context) -> Future[list[Signal]]:
        """The signals of a turn, once it has been read. A future that is cancelled before that is not read."""
        future: Future[list[Signal]] = Future()
        if not text.strip():
            future.set_result([])
            return future
        if len(text) > LONGEST or len(self._waiting) >= WAITING:
            reason: Any = "invalid" if len(text) > LONGEST else "deadline"
            self._course.passed_over(reason)
            future.set_exception(Unread(reason))
            return future
        future = self._pool.submit(self._read, text, context)
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future

    def about(self) -> About:
        return self._course.about(self.name, "transformers")

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, text: str, context: Context) -> list[Signal]:
        try:
            scores: dict[str, float] = {}
            for piece in pieces(text):
                for label, score in self._classify(piece).items():
                    if not 0 <= score <= 1:
                        raise Unread("invalid")
                    scores[label] = max(score, scores.get(label, 0.0))
            found = meanings.signals(self.name, scores, self._meanings, context.direction, len(text), outvotes=False)
        except Unread as error:
            self._course.failed(error.reason)
            raise
        except KeyError:
            self._course.failed("invalid")
            raise Unread("invalid") from None
        except Exception:
            self._course.failed("raised")
            raise Unread("raised") from None
        self._course.answered()
        return found


def pieces(text: str) -> list[str]:
    """The text in overlapping pieces that leave nothing out."""
    return [text[at : at + PIECE] for at in range(0, max(1, len(text) - (PIECE - STEP)), STEP)]
