"""A streamed reply of an operator's own chat API: what its events are written in. What they mean is ``json_course``."""

from __future__ import annotations

from guardrail.core.model import Refusal
from guardrail.core.ports import Frame, StreamReader
from guardrail.dialects import ndjson, sse
from guardrail.dialects.json_course import Course
from guardrail.dialects.json_layout import Layout


class Events(sse.EventReader):
    """``StreamReader`` for server-sent events."""

    def __init__(self, layout: Layout) -> None:
        self._course = Course(layout)
        self._tail: list[Frame] = []
        super().__init__(self._event, self._check_over)

    def close(self) -> list[Frame]:
        return super().close() + self._tail

    def _event(self, event: sse.Event) -> Frame:
        return self._course.take(event.raw, _name(event), event.data)

    def _check_over(self, rest: sse.Event | None) -> bool:
        if rest is None:
            self._tail = self._course.over()
        elif not self._course.is_last(_name(rest), rest.data):
            raise Refusal("the stream ended in the middle of a frame")
        else:
            self._event(rest)
        return rest is not None


def _name(event: sse.Event) -> str:
    return event.name.decode(errors="replace")


class Lines(ndjson.LineReader):
    """``StreamReader`` for JSON by lines."""

    def __init__(self, layout: Layout) -> None:
        self._course = Course(layout)
        self._tail: list[Frame] = []
        super().__init__(self._line, self._check_over)

    def close(self) -> list[Frame]:
        return super().close() + self._tail

    def _line(self, line: ndjson.Line) -> Frame:
        return self._course.take(line.raw, "", line.data)

    def _check_over(self) -> None:
        self._tail = self._course.over()


def reader(layout: Layout) -> StreamReader:
    return Events(layout) if layout.stream.format == "sse" else Lines(layout)
