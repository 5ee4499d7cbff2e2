# SPDX-License-Identifier: Apache-2.0
"""Serial ports: what is on them, who uses them, whether the user may; and one check before any command opens
one.
"""

from __future__ import annotations

import errno
import glob
import grp
import importlib.util
import os
import pwd
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from shlex import quote
from typing import Any, TypeVar

from ..errors import DeviceError
from .holders import Holder, holders, is_pty

LIST = "'bitmar-tiny ports' shows what is there."
BUSY_S = 5.0
T = TypeVar("T")
PATTERNS = ("/dev/ttyUSB*", "/dev/ttyACM*", "/dev/ttyAMA*")
LINKS = ("/dev/serial/by-id/*", "/dev/serial/by-path/*", "/dev/serial[0-9]")

#: USB vendor and product -> what it is. From the tables of Linux 6.12,
#: drivers/usb/serial/{cp210x,ch341,ftdi_sio_ids,pl2303}.[ch]; WCH's own driver
#: (github.com/WCHSoftGroup/ch343ser_linux); esptool (USB_JTAG_SERIAL_PID); github.com/raspberrypi/usb-pid;
#: and OpenOCD, contrib/60-openocd.rules.
KNOWN: dict[tuple[int, int], str] = {
    (0x303A, 0x1001): "Espressif USB-Serial/JTAG, in the chip (ESP32-S3, -C3, -C6, -H2)",
    (0x303A, 0x1002): "Espressif USB bridge (ESP-Prog-2)",
    (0x10C4, 0xEA60): "Silicon Labs CP210x bridge",
    (0x10C4, 0xEA70): "Silicon Labs CP2105 bridge, two ports",
    (0x10C4, 0xEA71): "Silicon Labs CP2108 bridge, four ports",
    (0x1A86, 0x7523): "WCH CH340 bridge",
    (0x1A86, 0x7522): "WCH CH340 bridge",
    (0x1A86, 0x5523): "WCH CH341 bridge",
    (0x1A86, 0x55D3): "WCH CH343 bridge",
    (0x1A86, 0x55D4): "WCH CH9102 bridge",
    (0x0403, 0x6001): "FTDI FT232R bridge",
    (0x0403, 0x6010): "FTDI FT2232 bridge, two ports (the second is the serial one on Espressif's debuggers)",
    (0x0403, 0x6011): "FTDI FT4232 bridge, four ports",
    (0x0403, 0x6014): "FTDI FT232H bridge",
    (0x0403, 0x6015): "FTDI FT230X bridge",
    (0x067B, 0x2303): "Prolific PL2303 bridge",
    (0x0483, 0x374B): "ST-LINK/V2-1 of a Nucleo or Discovery board",
    (0x0483, 0x374E): "STLINK-V3 of a Nucleo or Discovery board",
    (0x0D28, 0x0204): "DAPLink debug probe (Arm Mbed boards)",
    (0x2E8A, 0x000A): "Raspberry Pi Pico, its own USB",
    (0x2E8A, 0x000C): "Raspberry Pi Debug Probe",
}
MAKERS = {
    0x303A: "Espressif, USB of the chip itself",
    0x1366: "SEGGER J-Link",
    0x0483: "STMicroelectronics",
    0x2341: "Arduino",
    0x239A: "Adafruit",
    0x2E8A: "Raspberry Pi",
    0x0403: "FTDI bridge",
    0x10C4: "Silicon Labs bridge",
    0x1A86: "WCH bridge",
}


@dataclass(frozen=True)
class SerialPort:
    """One port. ``hint`` says what its USB identity stands for, ``refused`` what to do if the user may not
    use it ('' if he may), ``hidden`` how many processes could not be asked whether they use it.
    """

    device: str
    description: str
    usb: str
    serial_number: str
    hint: str
    links: list[str]
    holders: list[Holder]
    hidden: int
    refused: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"usable": not self.refused and not self.holders}


def names() -> list[str]:
    """Devices that are likely boards, by name alone."""
    return sorted(name for pattern in PATTERNS for name in glob.glob(pattern))


def find(paths: Iterable[str] = ()) -> list[SerialPort]:
    """The named ports, or all of this machine; ``DeviceError`` for a name that is no serial port."""
    if importlib.util.find_spec("serial") is None:
        raise DeviceError("pyserial is not installed.", "Install it: pip install 'bitmar-tiny[device]'.")
    from serial.tools import list_ports

    known, paths = {p.device: p for p in list_ports.comports()}, list(paths)
    for path in paths:
        _check_kind(path)
    return [
        _describe(path, known.get(os.path.realpath(path))) for path in paths or sorted({*known, *names()})
    ]


def usb_hint(vid: int | None, pid: int | None) -> str:
    """What a USB identity stands for, as far as it is known; '' else."""
    if vid is None:
        return ""
    return KNOWN.get((vid, pid or 0)) or MAKERS.get(vid, "")


def _describe(device: str, known: Any) -> SerialPort:
    users, hidden = holders(device)
    vid, pid = (known.vid, known.pid) if known else (None, None)
    text = (
        known.description
        if known
        else "pseudo terminal"
        if is_pty(os.stat(device))
        else "serial port of the board itself"
    )
    real = os.path.realpath(device)
    links = sorted(link for pattern in LINKS for link in glob.glob(pattern) if os.path.realpath(link) == real)
    return SerialPort(
        device,
        "" if text == "n/a" else text,
        "" if vid is None else f"{vid:04x}:{pid:04x}",
        (known.serial_number if known else "") or "",
        usb_hint(vid, pid),
        links,
        users,
        hidden,
        refusal(device),
    )


class BusyError(DeviceError):
    """Another program uses the port."""


def patient(action: Callable[[], T]) -> T:
    """``action()``, again for ``BUSY_S`` where another program uses the port: a modem manager opens what was
    just plugged in, to see what it is.
    """
    until = time.monotonic() + BUSY_S
    while True:
        try:
            return action()
        except BusyError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def check(path: str) -> None:
    """``DeviceError``, in one sentence, if a port is missing, is none, may not be used, or is in use. It is
    not opened. A port in the network (``rfc2217://HOST:PORT``) tells only when it is opened.
    """
    if "://" in path:
        return
    _check_kind(path)
    refused = refusal(path)
    if refused:
        raise DeviceError(f"{path}: you may not use the port.", refused)
    users, _ = holders(path)
    if users:
        raise _busy(path, users)


def explain(path: str, error: OSError) -> DeviceError:
    """The sentence for an error of opening or using a port (pyserial's are OSErrors, too)."""
    try:
        check(path)
    except DeviceError as known:
        return known
    if error.errno in (errno.EACCES, errno.EPERM):
        return DeviceError(
            f"{path}: you may not use the port.", "Run the command as the user who owns the port."
        )
    if error.errno in (errno.EBUSY, errno.EAGAIN):
        return BusyError(
            f"{path}: a program of another user uses the port.",
            f"'sudo fuser -v {quote(path)}' names it; ModemManager is a usual one.",
        )
    if error.errno in (errno.ENXIO, errno.ENODEV, errno.EIO):
        return DeviceError(
            f"{path}: there is no device behind the port.",
            "Check cable and power, then run the command again.",
        )
    return DeviceError(
        f"{path}: cannot be used as a serial port ({(error.strerror or str(error)).lower()}).", LIST
    )


def _check_kind(path: str) -> None:
    try:
        st = os.stat(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise DeviceError(
                f"{path}: cannot be looked at ({(error.strerror or '').lower()}).", LIST
            ) from None
        near = f"/dev/{path}"
        hint = (
            f"Name it {near}." if os.path.exists(near) and "/" not in path else f"Plug the board in; {LIST}"
        )
        raise DeviceError(f"{path}: there is no such port.", hint) from None
    if not (stat.S_ISCHR(st.st_mode) and (is_pty(st) or _is_tty(st))):
        raise DeviceError(f"{path}: not a serial port.", f"Name a device such as /dev/ttyUSB0; {LIST}")


def _is_tty(st: os.stat_result) -> bool:
    """By what the kernel says of the device, without opening it."""
    number = f"/sys/dev/char/{os.major(st.st_rdev)}:{os.minor(st.st_rdev)}"
    return os.path.basename(os.path.realpath(f"{number}/subsystem")) == "tty"


def refusal(path: str) -> str:
    """What to do if the user may not use the port; '' if he may."""
    if os.access(path, os.R_OK | os.W_OK):
        return ""
    st = os.stat(path)
    try:
        group = grp.getgrgid(st.st_gid).gr_name
        user = pwd.getpwuid(os.getuid())
    except KeyError:
        group, user = str(st.st_gid), None
    if st.st_mode & 0o060 != 0o060 or st.st_gid == 0:
        return (
            f"Its group, {group}, is not meant for it: 'sudo chmod a+rw {quote(path)}' allows it until it is "
            "plugged in again."
        )
    if user and st.st_gid in os.getgrouplist(user.pw_name, user.pw_gid):
        return f"You are in its group, {group}, since you logged in: log out and in again."
    return f"Add yourself to its group: sudo usermod -aG {group} $USER, then log in again."


def _busy(path: str, users: list[Holder]) -> BusyError:
    first = users[0]
    more = f" and {len(users) - 1} more" if len(users) > 1 else ""
    return BusyError(
        f"{path}: '{first.program}' (process {first.pid}){more} uses the port.",
        f"Close it, or end it with: kill {first.pid}.",
    )
