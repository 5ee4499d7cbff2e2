# SPDX-License-Identifier: Apache-2.0
"""The page as a person uses it, in a real browser: caption, draw, teach, reload, ask, export, and what goes
wrong.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import command_line
import numpy as np
import pytest
from browser import READY

import bitmar_tiny as bt
from bitmar_tiny.data.pixels import read_picture
from bitmar_tiny.device.protocol import sections
from bitmar_tiny.memory.store import MemoryStore
from bitmar_tiny.page.render import APP

PICTURES = Path(__file__).resolve().parents[2] / "examples" / "pictures"
#: The answer is there: nothing is written any more, and something was.
ANSWERED = "!said.classList.contains('writing') && !said.querySelector('.quiet') && said.textContent"
NOTICE = "notice.textContent"
#: What is said in the end, not while something is done.
SAID = "!notice.textContent.endsWith('…') && notice.textContent"
#: Page and program, without the model: bytes.
MOST_BYTES = 150_000
CONTROLS = ("button", "textbox", "slider", "spinbutton", "combobox", "image", "checkbox", "link")


def look_at(tab, place: str) -> str:
    """What is said of an example, once all of it is."""
    tab.run("said.replaceChildren(Object.assign(document.createElement('i'), {className: 'quiet'}))")
    tab.run(f"document.querySelector('.example img[alt=\"{place}\"]').parentElement.click()")
    return tab.wait(ANSWERED)


def choose(tab, path: Path) -> str:
    """What is said of a picture file."""
    tab.run("said.replaceChildren(Object.assign(document.createElement('i'), {className: 'quiet'}))")
    tab.choose("#file", path)
    return tab.wait(ANSWERED)


def teach(tab, name: str) -> str:
    tab.run(f"notice.textContent = ''; document.querySelector('#name').value = {json.dumps(name)}")
    tab.click("#teach-it")
    return tab.wait(SAID)


def things_known(tab) -> list[str]:
    return tab.run("[...things.children].map((item) => item.firstChild.textContent)")


def test_a_page_is_small_and_takes_nothing_from_anywhere(demo):
    html = demo.html.decode()
    held = json.loads(re.search(r'id="model">(.*?)</script>', html)[1])
    assert len(html) - sum(len(held[part]) for part in ("blob", "tokenizer", "store")) < MOST_BYTES
    assert "default-src 'none'" in html and "connect-src" not in html
    addresses = set(re.findall(r"https?://[\w.]+", html))
    assert addresses <= {"http://www.w3.org"}  # the name of a kind of XML


@pytest.mark.parametrize("name", ["umbrella", "house"])
def test_a_caption_from_disk_is_that_of_golden(demo, tab, name):
    """Offline, and from a file: token by token what ``generate --image`` writes."""
    tab.call("Network.enable")
    tab.call(
        "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
    )
    tab.open_fresh(demo.file.as_uri())
    path = PICTURES / f"{name}.png"
    assert choose(tab, path) == bt.caption(demo.model, path).strip()
    assert "token" in tab.run("speed.textContent")


def test_text_is_written_as_golden_writes_it(demo, tab):
    tab.open_fresh(demo.server.url)
    tab.run("writing.open = true; document.querySelector('#prompt').value = 'The cat'")
    tab.run("temperature.value = 1; limit.value = 24; seed.value = 7")
    tab.click("#write-it")
    tab.wait("document.querySelector('#written-speed').textContent.includes('token')")
    written = tab.run("document.querySelector('#written').textContent")
    assert written == "The cat" + bt.generate(demo.model, "The cat", limit=24, temperature=1.0, seed=7)


def test_it_shows_where_it_looked_and_what_answered(demo, tab):
    cfg = demo.model.config
    tab.open_fresh(demo.server.url)
    tab.run("inside.open = true")
    choose(tab, PICTURES / "umbrella.png")
    tab.wait("tokens.children.length > 1 && answering.querySelectorAll('.bar').length")
    seen = tab.run("Array.from(sight.getContext('2d').getImageData(0, 0, 64, 64).data)")
    pixels = np.array(seen, np.uint8).reshape(64, 64, 4)[:, :, :3]
    patches = read_picture(PICTURES / "umbrella.png", cfg.image_inputs)
    assert np.array_equal(pixels[:16, :16].reshape(-1), patches[0])
    tab.click("#tokens button:last-child")
    darker = tab.run("Array.from(sight.getContext('2d').getImageData(0, 0, 64, 64).data)")
    assert darker != seen and "looked" in tab.run("document.querySelector('#sight-note').textContent")
    tab.click("#measure")
    assert tab.wait("times.querySelectorAll('.bar').length") == len(
        sections(cfg.n_encoder_layers, cfg.n_decoder_layers)
    )


def test_a_thing_is_taught_kept_asked_exported_and_forgotten(things, tab, tmp_path):
    tab.open_fresh(things.server.url)
    assert look_at(tab, "A drawing of a mushroom") == "I don't know."
    assert teach(tab, "my mushroom").startswith("Taught: my mushroom, in slot 16.")
    assert look_at(tab, "A drawing of a house") and teach(tab, "house").startswith(
        "Taught: house, in slot 17."
    )
    assert "cannot keep" in teach(tab, "42") and things_known(tab) == ["house", "my mushroom"]
    tab.open(things.server.url + "?again")
    tab.wait(f"location.search && {READY}")
    assert things_known(tab) == ["house", "my mushroom"]
    assert look_at(tab, "Another drawing of a mushroom") == "This is my mushroom."
    assert tab.wait("slots.children[16].className") == "used lit"

    store = exported(tab, tmp_path)
    known = bt.taught_things(things.model, memory=store)
    assert [(thing.name, thing.slot) for thing in known] == [("house", 17), ("my mushroom", 16)]
    done = command_line.run("--json", "memory", "inspect", store)
    assert done.returncode == 0 and json.loads(done.stdout)

    tab.click("#things button")
    assert tab.wait("notice.textContent.startsWith('Forgot')") and things_known(tab) == ["my mushroom"]
    tab.click("#renew")
    tab.wait("notice.textContent.includes('learned in training')")
    assert things_known(tab) == [] and look_at(tab, "Another drawing of a mushroom") == "I don't know."
    tab.choose("#store-file", store)
    tab.wait("notice.textContent.startsWith('Loaded')")
    assert things_known(tab) == ["house", "my mushroom"]


def exported(tab, folder: Path) -> Path:
    """The memory's file, as the browser saves it."""
    tab.browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    tab.click("#export")
    tab.wait("notice.textContent.startsWith('Saved')")
    store = folder / "memory.store"
    for _ in range(200):
        if store.exists() and store.stat().st_size:
            return store
        tab.browser.rest(0.05)
    raise AssertionError(f"nothing was saved: {list(folder.iterdir())}")


def test_the_page_teaches_as_python_does(things, tab, tmp_path):
    """The same picture and name, byte for byte the same store."""
    tab.open_fresh(things.server.url)
    choose(tab, PICTURES / "umbrella.png")
    teach(tab, "umbrella")
    ours = tmp_path / "ours.store"
    bt.teach_thing(things.model, "umbrella", PICTURES / "umbrella.png", memory=ours)
    theirs = MemoryStore.open(exported(tab, tmp_path), things.model.digest).read()
    mine = MemoryStore.open(ours, things.model.digest).read()
    for part in ("codes", "scales", "usage"):
        assert np.array_equal(getattr(theirs, part), getattr(mine, part)), part
    seen = bt.ask_thing(things.model, PICTURES / "another" / "umbrella.png", memory=ours)
    assert choose(tab, PICTURES / "another" / "umbrella.png") == seen.text


def test_it_looks_at_what_is_drawn(things, tab):
    tab.open_fresh(things.server.url)
    tab.click("#draw")
    box = tab.run("(({x, y, width}) => [x, y, width])(pad.getBoundingClientRect())")
    points = [(0.2, 0.2), (0.8, 0.3), (0.5, 0.8)]
    where = [{"x": box[0] + a * box[2], "y": box[1] + b * box[2]} for a, b in points]
    tab.call(
        "Input.dispatchMouseEvent", type="mousePressed", button="left", buttons=1, clickCount=1, **where[0]
    )
    for place in where[1:]:
        tab.call("Input.dispatchMouseEvent", type="mouseMoved", button="left", buttons=1, **place)
    tab.call("Input.dispatchMouseEvent", type="mouseReleased", button="left", clickCount=1, **where[2])
    assert tab.wait(ANSWERED)
    reds = "pad.getContext('2d').getImageData(0, 0, 512, 512).data.filter((v, i) => i % 4 === 0)"
    assert tab.run(f"{reds}.filter((v) => v < 99).length") > 1000


@pytest.mark.parametrize("how", ["dropped", "pasted"])
def test_a_wrong_file_is_said_in_a_sentence(things, tab, how):
    tab.open_fresh(things.server.url)
    event = {
        "dropped": "DragEvent('drop', {dataTransfer: given",
        "pasted": "ClipboardEvent('paste', {clipboardData: given",
    }[how]
    tab.run(
        "(() => { const given = new DataTransfer(); given.items.add(new File(['hello'], 'letter.txt')); "
        f"document.dispatchEvent(new {event}, bubbles: true, cancelable: true}})); }})()"
    )
    assert "not a picture" in tab.wait(SAID) and tab.run("notice.classList.contains('bad')")


def test_a_file_that_is_gone_is_said_in_a_sentence(things, tab, tmp_path):
    tab.open_fresh(things.file.as_uri())
    for chooser in ("#file", "#store-file"):
        tab.run("notice.textContent = ''")
        tab.choose(chooser, tmp_path / "gone.png")
        assert tab.wait(SAID) == "gone.png cannot be read. Choose it again."


def test_a_wrong_memory_is_refused_and_changes_nothing(things, demo, tab, tmp_path):
    tab.open_fresh(things.server.url)
    foreign = tmp_path / "demo.store"
    bt.memory_store(foreign, demo.model)
    (tmp_path / "letter.txt").write_text("hello")
    for path, words in ((foreign, "another model"), (tmp_path / "letter.txt", "not a memory store")):
        tab.run("notice.textContent = ''")
        tab.choose("#store-file", path)
        assert words in tab.wait(SAID) and things_known(tab) == []


def test_without_room_the_memory_is_not_lost_in_silence(things, tab):
    tab.open_fresh(things.server.url)
    tab.run(
        "IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); }; 0"
    )
    look_at(tab, "A drawing of a cup")
    assert "no room left" in teach(tab, "cup") and "Save it to a file" in tab.run(NOTICE)
    assert things_known(tab) == ["cup"] and look_at(tab, "Another drawing of a cup") == "This is a cup."


def test_without_a_camera_it_says_so(things, tab):
    tab.open_fresh(things.server.url)
    tab.click("#film")
    assert "The camera cannot be used" in tab.wait(SAID)


def test_a_camera_gives_the_square_in_its_middle(things, tab):
    tab.open_fresh(things.server.url)
    tab.run(
        "navigator.mediaDevices.getUserMedia = async () => { const c = document.createElement('canvas'); "
        "[c.width, c.height] = [320, 240]; const p = c.getContext('2d'); p.fillStyle = 'red'; "
        "setInterval(() => p.fillRect(0, 0, 320, 240), 50); return c.captureStream(20); }; 0"
    )
    tab.click("#film")
    tab.wait("camera.videoWidth === 320 && !snap.hidden")
    tab.click("#snap")
    assert tab.wait(ANSWERED) and tab.run("[shown.naturalWidth, shown.naturalHeight]") == [240, 240]


def test_a_second_page_does_not_write_over_the_first(things, tab, browser):
    tab.open_fresh(things.server.url)
    other = browser.page()
    other.open_fresh(things.server.url)
    assert "another page" in other.wait(NOTICE)
    other.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_control_has_a_name_and_a_phone_shows_all_of_it(things, tab, dark):
    tab.view(390, 844, dark)
    tab.open_fresh(things.server.url)
    tab.run("document.querySelectorAll('details').forEach((part) => (part.open = true))")
    tab.click("#draw")
    look_at(tab, "A drawing of a fish")
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    named = [(n["role"]["value"], n.get("name", {}).get("value")) for n in nodes if not n["ignored"]]
    assert [n for n in named if n[0] in CONTROLS and not n[1]] == []
    assert len([n for n in named if n[0] in CONTROLS]) > 30
    assert tab.run("document.documentElement.scrollWidth") <= 390
    assert tab.run("document.documentElement.lang") == "en" and tab.run("document.title")


def press_enter(tab):
    for kind in ("keyDown", "char", "keyUp"):
        tab.call(
            "Input.dispatchKeyEvent",
            type=kind,
            key="Enter",
            code="Enter",
            text="\r",
            windowsVirtualKeyCode=13,
        )


def test_keys_alone_teach_it(things, tab):
    tab.open_fresh(things.server.url)
    tab.run("document.querySelector('.example').focus()")
    press_enter(tab)
    assert tab.wait(ANSWERED)
    tab.run("document.querySelector('#name').focus()")
    tab.call("Input.insertText", text="toadstool")
    press_enter(tab)
    assert "toadstool" in tab.wait(SAID)


def test_every_drawing_is_there():
    assert len(list((APP / "examples").glob("*.svg"))) == 12
