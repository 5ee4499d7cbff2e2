# SPDX-License-Identifier: Apache-2.0
"""Boards of all kinds on terminals, for tests of the host's side."""

import os
import pty
import select
import socket
import struct
import subprocess
import termios
import threading
import tty
from types import SimpleNamespace

import serial
from serial.rfc2217 import PortManager

from bitmar_tiny.device.frames import OPENED, Deframer, Frame
from bitmar_tiny.device.lines import PtyLine


class TerminalProgram(PtyLine):
    """A program that answers at the other end of a terminal, whose speed it can change."""

    def __init__(self, program):
        super().__init__()
        self.process = subprocess.Popen([*program.command, "link", "--port", self.other])

    def close(self):
        self.process.kill()
        self.process.wait()
        super().close()


class FakeBoard(threading.Thread):
    """Something at the other end of a terminal at ``path``: ``answer(bytes) -> bytes`` for what it is sent;
    ``first`` is printed before the first answer.
    """

    def __init__(self, answer=lambda data: b"", first=b""):
        super().__init__(daemon=True)
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.path, self._slave, self.answer, self.first = os.ttyname(slave), slave, answer, first
        self.stopped = threading.Event()
        self.start()

    @property
    def baud(self):
        """What the host set the terminal to."""
        return termios.tcgetattr(self.master)[4]

    def run(self):
        while not self.stopped.is_set():
            if select.select([self.master], [], [], 0.02)[0]:
                os.write(self.master, self.first + self.answer(os.read(self.master, 4096)))
                self.first = b""

    def close(self):
        """As if it was unplugged."""
        self.stopped.set()
        self.join()
        os.close(self.master)
        os.close(self._slave)


def of_version(version):
    """Answers every OPEN with this version of the protocol."""
    deframer = Deframer()

    def answer(data):
        return b"".join(
            Frame(OPENED, f.session, payload=struct.pack("<BHHI", version, 4096, 1024, 5)).encode()
            for f in deframer.feed(data)
            if isinstance(f, Frame)
        )

    return answer


class NetworkPort(threading.Thread):
    """A serial port of a terminal server: whoever connects to ``port`` of this machine, one after the other,
    speaks with ``line``; by RFC 2217 if ``telnet``.
    """

    def __init__(self, line, telnet=False):
        super().__init__(daemon=True)
        self.line, self.telnet = line, telnet
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port, self.stopped = self.server.getsockname()[1], threading.Event()
        self.start()

    def run(self):
        self.server.settimeout(0.05)
        while not self.stopped.is_set():
            try:
                connection, _ = self.server.accept()
            except TimeoutError:
                continue
            with connection:
                self._serve(connection)

    def _serve(self, connection):
        sending = threading.Lock()

        def send(data):
            with sending:
                connection.sendall(data)

        settings = serial.serial_for_url("loop://")
        manager = PortManager(settings, SimpleNamespace(write=send)) if self.telnet else None
        while not self.stopped.is_set():
            if select.select([connection], [], [], 0.001)[0]:
                try:
                    data = connection.recv(4096)
                except ConnectionError:
                    return
                if not data:
                    return
                self.line.write(b"".join(manager.filter(data)) if manager else data)
            if data := self.line.read(0.001):
                send(b"".join(manager.escape(data)) if manager else data)

    def close(self):
        self.stopped.set()
        self.join()
        self.server.close()
