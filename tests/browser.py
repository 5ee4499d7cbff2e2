# SPDX-License-Identifier: Apache-2.0
"""A real browser for tests: Debian's Chromium without a window, over its DevTools protocol in a pipe."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: Why a test that needs it is skipped.
MISSING = "Chromium is not installed (apt-get install chromium)"
GIVE_UP_S = 60.0
#: What a page of ours says once its model runs.
READY = "document.documentElement.dataset.ready"


class BrowserError(AssertionError):
    """The browser, or the script in its page, did not do what it should."""


class Browser:
    """Chromium, started for a test run. Events of pages go to whoever listens."""

    def __init__(self, *options: str) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="chromium", ignore_cleanup_errors=True)
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (theirs_in, theirs_out)]
        for fd in (theirs_in, theirs_out):
            os.close(fd)
        command = [
            str(CHROMIUM),
            "--headless=new",
            "--remote-debugging-pipe",
            "--no-first-run",
            "--disable-gpu",
        ]
        command += ["--disable-background-networking", "--disable-dev-shm-usage", "--hide-scrollbars"]
        command += [
            f"--user-data-dir={self.folder.name}",
            *options,
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
        ]

        def pipes() -> None:  # the protocol's are 3 and 4
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [*command, "about:blank"],
            preexec_fn=pipes,
            pass_fds=(3, 4),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"HOME": self.folder.name},
        )
        for fd in high:
            os.close(fd)
        self._out, self._in = os.fdopen(ours_out, "wb", buffering=0), os.fdopen(ours_in, "rb")
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._next, self.listeners = 0, []  # type: ignore[var-annotated]
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        rest = b""
        while chunk := self._in.read1(1 << 16):  # type: ignore[attr-defined]
            *whole, rest = (rest + chunk).split(b"\0")
            for message in whole:
                self._messages.put(json.loads(message))
        self._messages.put(None)

    def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """One command; events that come meanwhile are handed out."""
        self._next += 1
        request: dict[str, Any] = {"id": self._next, "method": method, "params": params}
        number = self._next
        self._out.write(json.dumps(request | ({"sessionId": session} if session else {})).encode() + b"\0")
        until = time.monotonic() + GIVE_UP_S
        while True:
            message = self._one(until - time.monotonic())
            if message is None:
                raise BrowserError(f"{method}: no answer")
            if message.get("id") == number:
                if "error" in message:
                    raise BrowserError(f"{method}: {message['error']['message']}")
                return message["result"]

    def _one(self, wait_s: float) -> dict[str, Any] | None:
        """The next message, once its listeners have seen it; None after so long."""
        try:
            message = self._messages.get(timeout=max(wait_s, 0))
        except queue.Empty:
            return None
        if message is None:
            raise BrowserError("the browser ended")
        for listener in list(self.listeners) if "method" in message else ():
            listener(message)
        return message

    def rest(self, seconds: float) -> None:
        """Hand out events for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._one(left)

    def page(self, width: int = 1280, height: int = 900) -> Page:
        page = Page(self, self.call("Target.createTarget", url="about:blank")["targetId"])
        page.view(width, height)
        return page

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._out.close()
        self.folder.cleanup()


class Page:
    """A tab. ``errors``: what its console was told, and what nobody caught."""

    def __init__(self, browser: Browser, target: str) -> None:
        self.browser, self.target, self.errors = browser, target, list[str]()
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.bindings: dict[str, Callable[[str], None]] = {}
        browser.listeners.append(self._take)
        for domain in ("Page", "Runtime", "Log", "DOM", "Accessibility"):
            self.call(f"{domain}.enable")

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("sessionId") != self.session:
            return
        kind, params = message["method"], message["params"]
        if kind == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif kind == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"] + " " + params["entry"].get("url", "")[:200])
        elif kind == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(str([a.get("value", a.get("description")) for a in params["args"]]))
        elif kind == "Page.javascriptDialogOpening":
            self.browser._next += 1
            answer = {
                "id": self.browser._next,
                "method": "Page.handleJavaScriptDialog",
                "sessionId": self.session,
            }
            self.browser._out.write(json.dumps(answer | {"params": {"accept": True}}).encode() + b"\0")
        elif kind == "Runtime.bindingCalled":
            self.bindings[params["name"]](params["payload"])

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **params)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def open_fresh(self, url: str) -> None:
        """A page of ours that has kept nothing yet, once its model runs."""
        if url.startswith("http"):
            self.call("Storage.clearDataForOrigin", origin=url.rstrip("/"), storageTypes="indexeddb")
        self.open(url)
        self.wait(READY)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited. ``BrowserError`` if it throws."""
        done = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in done:
            details = done["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description") or details["text"])
        return done["result"].get("value")

    def wait(self, script: str, limit_s: float = GIVE_UP_S) -> Any:
        """The value of an expression, once it is true."""
        until = time.monotonic() + limit_s
        while True:
            try:
                if value := self.run(script):
                    return value
            except BrowserError as error:  # a page that is just being loaded
                if "navigat" not in str(error) and "destroyed" not in str(error) and "null" not in str(error):
                    raise
            if time.monotonic() > until:
                shown = self.run("document.body.innerText")
                raise BrowserError(
                    f"never true: {script}; errors: {self.errors}; the page says: {shown[:2000]}"
                )
            self.browser.rest(0.02)

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def choose(self, selector: str, path: Path) -> None:
        """Choose a file in an input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def view(self, width: int, height: int, dark: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path, whole: bool = True) -> None:
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        self.browser.listeners.remove(self._take)
        self.browser.call("Target.closeTarget", targetId=self.target)
