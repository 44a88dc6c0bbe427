"""A real Chromium and a real server in a process of its own, for the tests of the page."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from servers import find_program

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK = {"width": 1280, "height": 800}


class Served:
    """The program of serve_page.py, told what to publish by keyword."""

    def __init__(self, **options):
        program = Path(__file__).with_name("serve_page.py")
        self.process = subprocess.Popen(
            [sys.executable, str(program), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}/"

    def tell(self, **changes):
        self.process.stdin.write(json.dumps(changes) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def stop(self):
        """End it in good order; return the seconds its server took."""
        took_s = float(self.tell(stop=True))
        self.process.communicate(timeout=10)
        return took_s

    def kill(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def serve():
    """Start servers; whatever still runs at the end is killed."""
    started = []

    def start(**options):
        started.append(Served(**options))
        return started[-1]

    yield start
    for served in started:
        served.kill()


@pytest.fixture(scope="module")  # while it lives, no other event loop may run in this process
def browser():
    chromium = os.environ.get("ASHIBAR_CHROMIUM") or next(
        filter(None, map(find_program, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if chromium is None:
        pytest.skip("not on this machine: chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Open the page of a server; any script error or refused resource on it fails the test at its end."""
    pages, errors = [], []

    def open_at(url, size=DESK):
        page = browser.new_page(viewport=size)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: "Content Security" in message.text and errors.append(message.text))
        page.goto(url, wait_until="domcontentloaded")
        pages.append(page)
        return page

    yield open_at
    for page in pages:
        page.close()
    assert errors == []
