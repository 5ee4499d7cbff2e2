# SPDX-License-Identifier: Apache-2.0
"""Serial ports: what `check` says of each way in which one cannot be used, and what `ports` lists; with
pseudo terminals.
"""

from __future__ import annotations

import errno
import fcntl
import grp
import json
import os
import pty
import select
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace

import command_line
import pytest

from bitmar_tiny.device import holders as users
from bitmar_tiny.device import ports
from bitmar_tiny.device.ports import check, explain, find, usb_hint
from bitmar_tiny.errors import DeviceError

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0
NOBODY = 65534
OPEN = "import os, sys; fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)"
HOLD = "\nprint('ready', flush=True); sys.stdin.read()"
HOW = {
    "open": "",
    "exclusive": "\nimport fcntl, termios; fcntl.ioctl(fd, termios.TIOCEXCL)",
    "locked": "\nimport fcntl; fcntl.flock(fd, fcntl.LOCK_EX)",
}


@pytest.fixture
def port():
    """A pseudo terminal whose far end this process has, as an emulator would."""
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


@pytest.fixture
def hold():
    """Start another process that opens a port and keeps it; yields a function port, how -> process number."""
    running = []

    def start(path: str, how: str = "open") -> int:
        process = subprocess.Popen(
            [sys.executable, "-c", OPEN + HOW[how] + HOLD, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        running.append(process)
        assert select.select([process.stdout], [], [], START_S)[0] and process.stdout.readline() == b"ready\n"
        return process.pid

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_a_free_port_passes_and_is_not_opened(port, monkeypatch):
    monkeypatch.setattr(os, "open", lambda *a, **k: pytest.fail("the port was opened"))
    check(port)
    assert find([port])[0].holders == []


def need_a_look_into_processes(port: str) -> None:
    """Skip where the system forbids to copy a descriptor of another process (seccomp in some containers)."""
    fd = os.open(port, os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(fd, termios.TIOCEXCL)
    seen = users._is_exclusive(os.getpid(), fd)
    fcntl.ioctl(fd, termios.TIOCNXCL)
    os.close(fd)
    if not seen:
        pytest.skip(
            "this system does not tell whether another process forbids to open a port (pidfd_getfd); run "
            "outside a container"
        )


@pytest.mark.parametrize("how", HOW)
def test_who_holds_a_port_is_named(port, hold, how):
    if how == "exclusive":
        need_a_look_into_processes(port)
    pid = hold(port, how)
    with pytest.raises(DeviceError, match=rf"'.*python.*' \(process {pid}\) uses the port\. .*kill {pid}\.$"):
        check(port)
    (found,) = find([port])
    assert [(h.pid, h.how) for h in found.holders] == [(pid, how)] and not found.as_dict()["usable"]


def test_several_holders(port, hold):
    pids = {hold(port), hold(port)}
    with pytest.raises(DeviceError, match="and 1 more uses the port"):
        check(port)
    assert {h.pid for h in users.holders(port)[0]} == pids


def test_the_program_behind_a_pseudo_terminal_does_not_count(port):
    """An emulator holds the far end, and often the near one, too."""
    code = "import os, pty, sys; m, s = pty.openpty(); print(os.ttyname(s), flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        other = process.stdout.readline().strip()
        check(other)
        assert find([other, port])[0].holders == []
    finally:
        process.kill()
        process.communicate()


def test_a_lock_of_this_very_process_counts(port):
    serial = pytest.importorskip("serial", reason="pyserial is not installed (pip install pyserial)")
    with (
        serial.Serial(port, exclusive=True),
        pytest.raises(DeviceError, match=f"process {os.getpid()}.* uses the port"),
    ):
        check(port)
    check(port)


@pytest.mark.parametrize("content", [b"{pid:10d} minicom user\n", "int", b"", b"none", b"999999999\n"])
def test_lock_files_of_terminal_programs(port, tmp_path, monkeypatch, content):
    monkeypatch.setattr(users, "LOCK_DIRS", (str(tmp_path / "missing"), str(tmp_path)))
    pid = os.getppid()
    data = (
        pid.to_bytes(4, sys.byteorder)
        if content == "int"
        else content.decode().replace("{pid:10d}", f"{pid:10d}").encode()
    )
    (tmp_path / f"LCK..{Path(port).name}").write_bytes(data)
    named = content == "int" or b"{pid" in content
    assert [(h.pid, h.how) for h in users.holders(port)[0]] == ([(pid, "lock file")] if named else [])


def test_no_such_port(tmp_path):
    with pytest.raises(
        DeviceError, match="ttyUSB7: there is no such port. Plug the board in; 'bitmar-tiny ports' shows"
    ):
        check(str(tmp_path / "ttyUSB7"))
    with pytest.raises(DeviceError, match="null: there is no such port. Name it /dev/null"):
        check("null")


@pytest.mark.parametrize("what", ["directory", "file", "/dev/null", "fifo", "below a file", "loop"])
def test_not_a_serial_port(tmp_path, what):
    path = what if what.startswith("/dev") else str(tmp_path / "x")
    words = "not a serial port. Name a device such as /dev/ttyUSB0"
    if what == "directory":
        Path(path).mkdir()
    elif what == "file":
        Path(path).write_text("x")
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "below a file":
        Path(path).write_text("x")
        path, words = path + "/y", "no such port"
    elif what == "loop":
        os.symlink(path, path)
        words = "cannot be looked at .too many levels"
    with pytest.raises(DeviceError, match=words):
        check(path)


def as_nobody(action) -> str:
    """What ``action`` returns, or its error, in a child process without rights: root may use every port."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            text = str(action())
        except BaseException as error:
            text = f"{type(error).__name__} {error}"
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with open(read) as told:
        text = told.read()
    os.waitpid(child, 0)
    return text


@pytest.mark.parametrize(
    "mode, words",
    [
        (
            0o000,
            "Its group, {group}, is not meant for it: 'sudo chmod a+rw {port}' allows it until it is "
            "plugged in again.",
        ),
        (0o660, "Add yourself to its group: sudo usermod -aG {group} $USER, then log in again."),
    ],
)
def test_no_permission_names_the_group(port, mode, words):
    gid, group = next(((g.gr_gid, g.gr_name) for g in grp.getgrall() if g.gr_gid not in (0, NOBODY)), (0, ""))
    if os.geteuid() == 0:
        os.chown(port, 0, gid)
    os.chmod(port, mode)
    assert as_nobody(lambda: check(port)) == f"DeviceError {port}: you may not use the port. " + words.format(
        group=group, port=port
    )


def test_no_permission_for_anybody(port):
    if os.geteuid() == 0:
        pytest.skip("root may use every port; the test above becomes another user")
    os.chmod(port, 0)
    with pytest.raises(DeviceError, match="you may not use the port"):
        check(port)


def test_a_member_of_the_group_who_has_not_logged_in_again(port, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *a: False)
    monkeypatch.setattr(
        ports.os, "stat", lambda path: SimpleNamespace(st_mode=0o020660, st_gid=7, st_rdev=os.makedev(136, 0))
    )
    monkeypatch.setattr(ports.grp, "getgrgid", lambda gid: SimpleNamespace(gr_name="uucp"))
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [7])
    with pytest.raises(
        DeviceError, match="You are in its group, uucp, since you logged in: log out and in again"
    ):
        check(port)


def test_processes_that_cannot_be_looked_at_are_counted(port, hold):
    hold(port)
    text = as_nobody(lambda: users.holders(port))
    assert text.startswith("([], ") and int(text.split()[-1].rstrip(")")) > 0


@pytest.mark.parametrize(
    "number, words",
    [
        (errno.EBUSY, "a program of another user uses the port.*sudo fuser -v"),
        (errno.EACCES, "you may not use the port"),
        (errno.ENXIO, "there is no device behind the port"),
        (errno.EIO, "there is no device behind the port"),
        (errno.ENOTTY, "cannot be used as a serial port .inappropriate ioctl"),
    ],
)
def test_errors_of_opening_are_explained(port, number, words):
    with pytest.raises(DeviceError, match=words):
        raise explain(port, OSError(number, os.strerror(number)))


def test_what_check_knows_explains_an_error_better(port, hold):
    pid = hold(port)
    assert f"process {pid}" in explain(port, OSError(errno.EBUSY, "busy")).message
    assert "no such port" in explain("/dev/ttyUSB99", OSError(errno.EIO, "gone")).message


def usb_port(**given):
    return SimpleNamespace(
        **(
            {
                "device": "/dev/ttyACM7",
                "description": "USB JTAG/serial debug unit",
                "vid": 0x303A,
                "pid": 0x1001,
                "serial_number": "60:55:F9",
            }
            | given
        )
    )


def test_usb_identity_hint_and_links(port, tmp_path, monkeypatch):
    """A pseudo terminal in the place of a board on USB."""
    from serial.tools import list_ports

    monkeypatch.setattr(list_ports, "comports", lambda: [usb_port(device=port)])
    (tmp_path / "usb-Espressif_USB_JTAG-if00").symlink_to(port)
    monkeypatch.setattr(ports, "LINKS", (str(tmp_path / "*"),))
    for found in (find()[0], find([port])[0]):
        assert (found.device, found.usb, found.serial_number) == (port, "303a:1001", "60:55:F9")
        assert found.hint.startswith("Espressif USB-Serial/JTAG") and found.links == [
            str(tmp_path / "usb-Espressif_USB_JTAG-if00")
        ]
    assert usb_hint(0x10C4, 0xEA60) == "Silicon Labs CP210x bridge" and usb_hint(0x303A, 0x4001).startswith(
        "Espressif"
    )
    assert usb_hint(None, None) == usb_hint(0x9999, 1) == ""


def test_without_pyserial(monkeypatch):
    monkeypatch.setattr(ports.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        DeviceError, match="pyserial is not installed. Install it: pip install 'bitmar-tiny.device.'"
    ):
        find()


def command(*arguments) -> subprocess.CompletedProcess:
    return command_line.run("ports", *arguments)


def test_the_command(port, hold, tmp_path):
    pid = hold(port, "locked")
    (listed,) = json.loads(command(port, "--json").stdout)
    assert listed["device"] == port and listed["description"] == "pseudo terminal" and not listed["usable"]
    assert [(h["pid"], h["how"]) for h in listed["holders"]] == [(pid, "locked")]
    table = command(port).stdout
    assert f"(process {pid}, locked)" in table and "yes" in table
    wrong = command(str(tmp_path))
    assert wrong.returncode == 2 and "not a serial port" in wrong.stderr and "Traceback" not in wrong.stderr
    assert command().returncode == 0
