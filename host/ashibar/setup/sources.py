"""Reads where this system gets its Debian packages from. Knows no archive address of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Source:
    """One suite of one archive, with the keyring that signs it where the system names one."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str | None

    def line(self) -> str:
        """The entry in apt's one-line form."""
        option = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return "deb {}{} {} {}".format(option, self.uri, self.suite, " ".join(self.components)).rstrip()


def parse_list(text: str) -> Iterator[Source]:
    """Entries of a sources.list: `deb [option=value ...] uri suite component ...`."""
    for raw in text.splitlines():
        words = raw.split("#", 1)[0].replace("[", " [ ").replace("]", " ] ").split()
        if not words or words[0] != "deb":
            continue
        options: list[str] = []
        if "]" in words:
            end = words.index("]")
            options, words = words[2:end], ["deb", *words[end + 1 :]]
        if len(words) < 3:
            continue
        keys = [option.split("=", 1)[1] for option in options if option.startswith("signed-by=")]
        yield Source(words[1], words[2], tuple(words[3:]), keys[0] if keys else None)


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    name = ""
    for raw in [*text.splitlines(), ""]:
        if raw.startswith("#"):
            continue
        if not raw.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif raw[0].isspace():
            fields[name] = fields.get(name, "") + "\n" + raw.strip()
        else:
            name, _, value = raw.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()


def parse_deb822(text: str) -> Iterator[Source]:
    """Entries of a .sources file. A key written into the file itself is left to apt's trusted keys."""
    for fields in _stanzas(text):
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in {
            "no",
            "false",
        }:
            continue
        key = fields.get("signed-by", "")
        signed_by = key if key.startswith("/") and "\n" not in key else None
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri, suite, tuple(fields.get("components", "").split()), signed_by)


def read_sources(etc_apt: Path) -> list[Source]:
    """All enabled binary sources of the system, in apt's order. Unreadable files are left out."""
    files: Iterable[Path] = [
        etc_apt / "sources.list",
        *sorted(etc_apt.glob("sources.list.d/*.list")),
        *sorted(etc_apt.glob("sources.list.d/*.sources")),
    ]
    sources: list[Source] = []
    for path in files:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        sources += parse_deb822(text) if path.suffix == ".sources" else parse_list(text)
    return sources


def of_release(sources: Iterable[Source], codename: str) -> list[Source]:
    """The distribution's own suites: release, updates, security. Third parties are left out."""
    wanted = {codename, codename + "-updates", codename + "-security"}
    return [source for source in sources if source.suite.split("/")[0] in wanted]
