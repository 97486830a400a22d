"""A model folder in ONNX Runtime: windows of tokens in, rows of logits out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Tokenizer

from guardrail.core.model import Direction
from guardrail.detectors.model_input import Window
from guardrail.detectors.model_output import Reader
from guardrail.judges.folder import TOKENIZER, Folder, ModelError

Row = npt.NDArray[np.float32]


class Asked(msgspec.Struct, frozen=True):
    """One window to be read, whose direction and script decide when it is calm enough to be let go. ``whole``: it is
    read to the end."""

    window: Window
    direction: Direction
    script: str
    whole: bool = False


class Engine:
    """One model, loaded once. ``run`` may be called by one thread at a time."""

    def __init__(self, folder: Folder, threads: int = 1) -> None:
        """Raises ``ModelError``."""
        self.folder = folder
        self.reader = Reader(folder.labels)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4
        try:
            self._tokenizer = Tokenizer.from_file(str(folder.path / TOKENIZER))
            self._stages = [
                onnxruntime.InferenceSession(str(folder.path / name), options, providers=["CPUExecutionProvider"])
                for name in folder.labels.stages
            ]
        except Exception as error:  # of types of their own, which neither library makes public
            raise ModelError(
                f"{folder.path}: cannot be loaded ({type(error).__name__}); install the model again"
            ) from None
        if self._tokenizer.get_vocab_size() <= max(folder.labels.marks.person + folder.labels.marks.bot):
            raise ModelError(f"{folder.path / TOKENIZER}: is of another model; install the model again")

    def tokens(self, text: str) -> Sequence[int]:
        # Half a surrogate pair, which JSON can carry, is no text to the tokenizer.
        whole = text if text.isascii() else text.encode("utf-8", "replace").decode()
        ids: list[int] = self._tokenizer.encode(whole, add_special_tokens=False).ids
        return ids

    def run(self, asked: Asked) -> Row:
        """The logits of one window, from the stage at which it was calm or from the last.

        Windows are read one by one: together they would be read little faster, and since the eight-bit scales are those
        of all that is read together, what one person's words come to would depend on who else is writing.
        """
        last = len(self._stages) - 1
        for number, logits in enumerate(self.exits(asked)):
            if number == last or (
                not asked.whole and self.reader.calm(number, asked.direction, logits.tolist(), asked.script)
            ):
                return logits
        raise AssertionError("a model has at least one stage")

    def exits(self, asked: Asked) -> Iterator[Row]:
        """The logits of one window after each stage, as far as they are asked for."""
        ids, judged = _arrays(asked.window)
        feed: dict[str, Any] = {"ids": ids, "judged": judged}
        for stage in self._stages:
            logits, *hidden = stage.run(None, feed)
            yield logits[0]
            if hidden:
                feed["hidden"] = hidden[0]


def _arrays(window: Window) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    judged = np.zeros((1, len(window.ids)), np.bool_)
    judged[0, 1 : window.judged] = True
    return np.asarray([window.ids], np.int64), judged
