"""Fetches Debian packages: system-wide as root, or unpacked into a private folder. Decides nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from ashibar.setup.say import SetupError, say
from ashibar.setup.sources import Source, of_release, read_sources

if TYPE_CHECKING:
    from typing import Self

ETC_APT = Path("/etc/apt")
DPKG_STATUS = Path("/var/lib/dpkg/status")
DEBIAN_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
APT_TIMEOUT_S = 1800.0


def os_release() -> dict[str, str]:
    """The fields of /etc/os-release; empty where there is none."""
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {key: value.strip().strip('"') for key, value in pairs}


def debian_like() -> bool:
    """Whether apt-get and dpkg manage this system."""
    return all(shutil.which(name) for name in ("apt-get", "apt-cache", "dpkg"))


def is_root() -> bool:
    """Whether packages may be installed system-wide."""
    return os.geteuid() == 0


def _run(command: list[str], *, cwd: Path | None = None) -> str:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=APT_TIMEOUT_S, check=False
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-6:])
        raise SetupError("{} ended with {}:\n{}".format(" ".join(command[:2]), done.returncode, tail))
    return done.stdout


def available(package: str, options: tuple[str, ...] = ()) -> bool:
    """Whether the configured releases offer this package."""
    policy = _run(["apt-cache", *options, "policy", package])
    candidates = [line.split(":", 1)[1].strip() for line in policy.splitlines() if "Candidate:" in line]
    return bool(candidates) and candidates[0] != "(none)"


def install_system_wide(packages: list[str]) -> None:
    """Install Debian packages, as root, without their recommendations."""
    say("installing Debian packages: {} (apt-get, as root)".format(" ".join(packages)))
    _run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages])


def update_lists() -> None:
    """Refresh the system's package lists, as root."""
    say("refreshing the package lists (apt-get update)")
    _run(["apt-get", "update", "-q"])


class PrivateApt:
    """Package lists and downloads in a folder of our own; the system's are neither read nor written.

    `suite` None: this system's release, only what is not installed already. Any other suite: that release,
    with everything down to its C library, so that its programs run by their own loader.
    """

    def __init__(self, home: Path, suite: str | None) -> None:
        self._home = home
        self._suite = suite
        self._work = home / ("apt-" + (suite or "system"))
        self.root = home / ("root-" + (suite or "system"))

    def __enter__(self) -> Self:
        for folder in ("lists/partial", "cache/archives/partial", "download"):
            (self._work / folder).mkdir(parents=True, exist_ok=True)
        (self._work / "status").touch()
        lines = "".join(source.line() + "\n" for source in self._sources())
        (self._work / "sources.list").write_text(lines, encoding="utf-8")
        _run(["apt-get", *self._options(), "-q", "update"])
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._work, ignore_errors=True)

    def _sources(self) -> list[Source]:
        codename = os_release().get("VERSION_CODENAME", "")
        own = of_release(read_sources(ETC_APT), codename)
        if not own:
            raise SetupError(f"no apt source for the release {codename!r} in {ETC_APT}")
        if self._suite is None:
            return own
        first = next((source for source in own if source.suite == codename), own[0])
        return [Source(first.uri, self._suite, ("main",), first.signed_by or DEBIAN_KEYRING)]

    def _options(self) -> tuple[str, ...]:
        settings = {
            "Dir::Etc::sourcelist": self._work / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": self._work / "lists",
            "Dir::State::status": DPKG_STATUS if self._suite is None else self._work / "status",
            "Dir::Cache": self._work / "cache",
            "Acquire::Languages": "none",
            "Acquire::GzipIndexes": "true",
        }
        if is_root():
            settings["APT::Sandbox::User"] = "root"  # _apt may not enter a private folder
        return tuple(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))

    def offers(self, package: str) -> bool:
        """Whether this release has the package."""
        return available(package, self._options())

    def unpack(self, packages: list[str]) -> Path:
        """Unpack the packages with all they depend on, apt checking the signatures; returns the folder."""
        simulation = _run(
            ["apt-get", *self._options(), "-s", "-q", "--no-install-recommends", "install", *packages]
        )
        closure = [line.split()[1] for line in simulation.splitlines() if line.startswith("Inst ")]
        download = self._work / "download"
        _run(["apt-get", *self._options(), "-q", "download", *(closure or packages)], cwd=download)
        for archive in sorted(download.glob("*.deb")):
            _run(["dpkg", "-x", str(archive), str(self.root)])
            archive.unlink()
        return self.root
