"""The head of each day's safety log, kept where an owner can keep it: a file a day, and a mail a day.

A head vouches for every entry up to it: with one kept elsewhere, a log written anew is found out.
"""

from __future__ import annotations

import logging
import os
import smtplib
import threading
import time
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from ashibar.core.chain import day_of

if TYPE_CHECKING:
    from ashibar.core.chain import Head
    from ashibar.core.config import SafetyLogConfig

log = logging.getLogger(__name__)

EVERY_S: Final = 60.0  # the day's file is not older, and is written at the end
MAIL_RETRY_S: Final = 900.0
MAIL_TIMEOUT_S: Final = 20.0


class HeadKeeper:
    """A thread that writes and mails heads. `stored` may be called from any thread."""

    def __init__(self, studio: str, config: SafetyLogConfig) -> None:
        self.problem: str | None = None
        self._studio = studio
        self._config = config
        self._lock = threading.Lock()
        self._heads: dict[str, Head] = {}  # day -> its newest, until it was kept
        self._today: Head | None = None
        self._mails: list[Head] = []
        self._mail_after_s = 0.0
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heads", daemon=True)

    def start(self) -> None:
        """Begin, if anything is to be kept."""
        if self._config.head_dir is not None or self._config.mail_to is not None:
            self._thread.start()

    def stored(self, head: Head) -> None:
        """Take a head whose entry is on the disk."""
        with self._lock:
            last = self._today
            if last is not None and day_of(last.utc_us) < day_of(head.utc_us):
                self._mails.append(last)
                self._wake.set()
            self._today = head
            self._heads[day_of(head.utc_us)] = head

    def stop(self) -> None:
        """Write the last heads and end; mails not sent yet are sent for a later day's head."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(EVERY_S)
            self._wake.clear()
            self._keep()
            self._mail()
        self._keep()

    def _keep(self) -> None:
        if self._config.head_dir is None:
            return
        with self._lock:
            heads, self._heads = self._heads, {}
        for day, head in heads.items():
            try:
                write_head(Path(self._config.head_dir), self._studio, head)
                self.problem = None
            except OSError as error:
                self._complain(f"the head of {day} could not be written to {self._config.head_dir}: {error}")
                with self._lock:
                    self._heads.setdefault(day, head)

    def _mail(self) -> None:
        with self._lock:
            waiting = list(self._mails)
        if self._config.mail_to is None or not waiting or time.monotonic() < self._mail_after_s:
            return
        for head in waiting:
            try:
                send_head(self._config, self._studio, head)
            except (OSError, smtplib.SMTPException) as error:
                self._complain(f"the head of {day_of(head.utc_us)} could not be mailed: {error}")
                self._mail_after_s = time.monotonic() + MAIL_RETRY_S
                return
            with self._lock:
                self._mails.remove(head)

    def _complain(self, text: str) -> None:
        if text != self.problem:
            log.warning("%s; it is tried again", text)
        self.problem = text


def write_head(directory: Path, studio: str, head: Head) -> Path:
    """Write the head's file of its day, whole or not at all, and return its path. OSError if not possible."""
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / f"{studio}-{day_of(head.utc_us)}.json"
    draft = target.with_suffix(".tmp")
    with draft.open("wb") as file:
        file.write(msgspec.json.encode({"studio": studio, **msgspec.structs.asdict(head)}) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(target)
    return target


def send_head(config: SafetyLogConfig, studio: str, head: Head) -> None:
    """Mail the head of a day that is over. OSError or smtplib.SMTPException where it is not taken."""
    mail = EmailMessage()
    mail["From"], mail["To"] = config.mail_from, config.mail_to
    mail["Subject"] = f"ashibar {studio}: safety log of {day_of(head.utc_us)}"
    mail.set_content(
        "Keep this message. It vouches for the safety log up to this entry:\n\n"
        f"day    {day_of(head.utc_us)} (UTC)\nentry  {head.seq}\nhash   {head.hash}\ntime   {head.utc_us}\n\n"
        "`ashibar verify --head ENTRY:HASH` compares it with the log.\n"
    )
    with smtplib.SMTP(config.smtp_host, config.smtp_port, timeout=MAIL_TIMEOUT_S) as server:
        if server.has_extn("starttls"):
            server.starttls()
        server.send_message(mail)
