"""Reading `ashibar.toml` and the secrets it points to. What the keys mean is `core.config`."""

from __future__ import annotations

import stat
import tomllib
from dataclasses import replace
from pathlib import Path

from ashibar.core.config import Config, ConfigError, Mistake, check


def load(path: Path) -> Config:
    """Return the checked configuration; its paths are made absolute from the file's own directory.

    Raises ConfigError with every mistake, each with its place and the remedy.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _single(
            path, "a file", "none there", "give the right --config, or copy docs/ashibar.toml"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _single(path, "a readable text file", str(error), "check its owner and its content") from error
    except tomllib.TOMLDecodeError as error:
        raise _single(
            path, "TOML", str(error), "correct that line: key = value, texts in double quotes"
        ) from error
    return _resolved(check(raw), path.parent)


def read_secret(path: str, what: str) -> tuple[str, list[str]]:
    """Return the one line of a secret file, and warnings about who else can read it.

    Raises ConfigError when there is none.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8").strip()
        mode = file.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise _single(
            file, f"a file with the {what}", str(error), "create it, readable by this user only"
        ) from error
    if not text or "\n" in text:
        raise _single(
            file, f"one line with the {what}", f"{len(text.splitlines())} lines", "write just that line"
        )
    warnings = []
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        warnings.append(f"{file}: the {what} can be read by other users; chmod 600 {file}")
    return text, warnings


def _resolved(config: Config, directory: Path) -> Config:
    """Make every path absolute: a service does not start in the directory of its configuration."""

    def absolute(path: str | None) -> str | None:
        return None if path is None else str((directory / Path(path).expanduser()).absolute())

    mqtt = replace(
        config.mqtt,
        password_file=absolute(config.mqtt.password_file),
        ca_file=absolute(config.mqtt.ca_file),
    )
    influx = config.influx and replace(config.influx, token_file=absolute(config.influx.token_file))
    safety_log = replace(config.safety_log, head_dir=absolute(config.safety_log.head_dir))
    return replace(
        config,
        mqtt=mqtt,
        influx=influx,
        safety_log=safety_log,
        journal_path=absolute(config.journal_path) or "",
    )


def _single(path: Path, expected: str, came: str, remedy: str) -> ConfigError:
    return ConfigError([Mistake(str(path), expected, came, remedy)])
