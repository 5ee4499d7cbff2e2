# SPDX-License-Identifier: Apache-2.0
"""What a file is by its first bytes, for the sentence to whoever handed in another kind."""

from __future__ import annotations

#: Bytes that ``kind_of`` wants to see.
HEAD = 512
_STARTS = (
    (b"\x89PNG\r\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\0", "an XZ file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x04\x22\x4d\x18", "an LZ4 file"),
    *((bytes([0x80, protocol]), "a Python pickle") for protocol in range(2, 6)),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"PAR1", "a Parquet file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF\r\n", "an HDF5 file"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"\0\0\xfe\xff", "UTF-32 text"),
    (b"\xff\xfe\0\0", "UTF-32 text"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def kind_of(head: bytes) -> str:
    """ "a ZIP archive" for a file that begins like one; "" for what is nothing known, plain text among it."""
    if head[4:8] == b"ftyp":
        return (
            "an AVIF picture"
            if head[8:12] in (b"avif", b"avis")
            else "an HEIC picture"
            if head[8:12] in _HEIC
            else "a video"
        )
    if head[:4] == b"RIFF":
        return {b"WEBP": "a WebP picture", b"WAVE": "a sound file"}.get(head[8:12], "a RIFF file")
    if head[257:262] == b"ustar":
        return "a tar archive"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if text.startswith(b"<svg") or text.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in text:
        return "an SVG drawing"
    return next((what for start, what in _STARTS if head.startswith(start)), "")
