"""Compressed bodies made plain, a bounded piece at a time: a few bytes may not become gigabytes in memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

PIECE = 64 * 1024
"""Bytes of plain text made at a time."""

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class CannotDecode(Exception):
    """The bytes are not in the coding they are said to be in."""


class UnknownCoding(CannotDecode):
    """The coding is none that is spoken here."""


class Decoder:
    """Undoes one ``Content-Encoding``: gzip, deflate, or none. Raises ``UnknownCoding``, and ``CannotDecode``
    where the bytes are damaged."""

    def __init__(self, coding: bytes) -> None:
        name = coding.strip().lower()
        if name not in (b"", b"identity", b"gzip", b"x-gzip", b"deflate"):
            raise UnknownCoding("it is compressed in a way that is not spoken here; use gzip, deflate or none")
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB) if name not in (b"", b"identity") else None
        self._begun = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """The plain bytes that ``data`` gives, in pieces of at most ``PIECE``."""
        if self._inflate is None:
            yield data
            return
        while data and not self._inflate.eof:
            piece = self._piece(data)
            if piece:
                yield piece
            data = self._inflate.unconsumed_tail

    def _piece(self, data: bytes) -> bytes:
        assert self._inflate is not None
        try:
            piece = self._inflate.decompress(data, PIECE)
        except zlib.error as error:
            if self._begun:
                raise CannotDecode("it is compressed and damaged") from error
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)  # "deflate" without the wrapper it should have
            self._begun = True
            return self._piece(data)
        self._begun = True
        return piece

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing at the end of what was given."""
        return self._inflate is None or self._inflate.eof


def decoded(body: bytes, coding: bytes, limit: int) -> bytes:
    """``body`` made plain: all of it, or a little more than ``limit`` bytes. Raises ``CannotDecode``."""
    decoder, plain = Decoder(coding), bytearray()
    for piece in decoder.pieces(body):
        plain += piece
        if len(plain) > limit:
            return bytes(plain)
    if not decoder.is_whole:
        raise CannotDecode("it is compressed and breaks off")
    return bytes(plain)
