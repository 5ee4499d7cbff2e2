# SPDX-License-Identifier: Apache-2.0
"""Signatures of updates: ECDSA on the curve P-256 over a SHA-256 (FIPS 186-5), in DER (RFC 3279).

OpenSSL and ESP-IDF's mbedTLS both check it. Keys are PEM files. The ``openssl`` command signs, so that a
private key needs no library of ours.
"""

from __future__ import annotations

import base64
import binascii
import re
import shutil
import subprocess
from pathlib import Path

from bitmar_tiny.errors import DataError, ToolError

#: What a public key of the curve begins with (SubjectPublicKeyInfo, RFC 5480); the point's x and y follow.
PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
KEY_BYTES = len(PREFIX) + 64
#: Most bytes of a signature.
ROOM = 72
#: The curve: y^2 = x^3 - 3 x + B modulo P (SP 800-186).
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
MAKE_KEY = "Make one: openssl ecparam -name prime256v1 -genkey -noout -out KEY."
PUBLISH = "Make it of the private one: openssl pkey -in KEY -pubout -out PUBLIC."


def read_public(path: Path) -> bytes:
    """The public key in a PEM file, DER; ``DataError`` for anything else."""
    try:
        text = path.read_text("ascii", "replace")
    except OSError as error:
        raise DataError(f"{path}: {(error.strerror or 'cannot be read').lower()}.") from None
    if "PRIVATE KEY" in text:
        raise DataError(f"{path}: a private key, which no firmware may hold.", PUBLISH)
    found = re.search(r"-----BEGIN PUBLIC KEY-----(.*?)-----END PUBLIC KEY-----", text, re.S)
    try:
        key = base64.b64decode("".join(found[1].split()), validate=True) if found else b""
    except binascii.Error:
        key = b""
    if not _on_curve(key):
        raise DataError(f"{path}: not the PEM file of a public key on the curve P-256.", PUBLISH)
    return key


def public_of(path: Path) -> bytes:
    """The public half of a private key's file, DER; ``DataError`` if the file is none."""
    done = _openssl("pkey", "-in", str(path), "-pubout", "-outform", "DER")
    if done.returncode:
        raise DataError(f"{path}: not a private key that 'openssl' can read.", MAKE_KEY)
    if not _on_curve(done.stdout):
        raise DataError(f"{path}: a key that is not of the curve P-256.", MAKE_KEY)
    return done.stdout


def sign(path: Path, data: bytes) -> bytes:
    """The signature of ``data`` with the private key of a file."""
    done = _openssl("dgst", "-sha256", "-sign", str(path), data=data)
    if done.returncode or not 8 <= len(done.stdout) <= ROOM:
        raise ToolError(f"{path}: 'openssl' could not sign: {done.stderr.decode(errors='replace').strip()}.")
    return done.stdout


def _on_curve(key: bytes) -> bool:
    x, y = (int.from_bytes(key[at : at + 32]) for at in (len(PREFIX), len(PREFIX) + 32))
    whole = len(key) == KEY_BYTES and key.startswith(PREFIX) and max(x, y) < P
    return whole and (y * y - x**3 + 3 * x - B) % P == 0


def _openssl(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """It asks for a passphrase itself, at the terminal."""
    if shutil.which("openssl") is None:
        raise ToolError("Signing needs the command 'openssl'.", "Install it: apt-get install openssl.")
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True)
