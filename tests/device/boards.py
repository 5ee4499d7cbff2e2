"""Boards of all kinds on terminals, for tests of the host's side."""

import os
import pty
import select
import struct
import termios
import threading
import tty

from bitmar_tiny.device.frames import OPENED, Deframer, Frame


class FakeBoard(threading.Thread):
    """Something at the other end of a terminal at ``path``: ``answer(bytes) -> bytes`` for what it is sent; ``first`` is printed
    before the first answer."""

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
