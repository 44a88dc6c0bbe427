"""The configuration a start begins with: the file's, and above it what was changed over the air and is kept
in the chip's memory. How it is changed is set_config's."""

import json

from barnode import scratch

KEPT, TRIED = "settings", "settings-try"


def given(source, problems):
    """What the file says, or a configuration passed as it is; `source` is {"config_path": ...} or that."""
    if not isinstance(source, dict) or "config_path" not in source:
        return source
    from barnode import config

    return config.read(source["config_path"], problems)


def overlay(records, base, problems):
    """The configuration to start with, and whether it is on trial: the file's, the kept changes above it, and
    above those the ones to be tried. What was tried before without success is dropped and named."""
    changes = read(records, KEPT, problems)
    tried = read(records, TRIED, problems)
    if tried is not None and scratch.load().get("tried"):
        records.forget(TRIED)
        problems.append(
            "settings: the last change did not bring the link back within 60 s and was taken back: check it"
        )
        tried = None
    scratch.note("tried", True if tried is not None else None)
    effective = tried if tried is not None else changes
    if effective is None or not isinstance(base, dict):
        return base, False
    merged = dict(base)
    merged.update(effective)
    return merged, tried is not None


def read(records, name, problems):
    """The changes in a record, or None."""
    payload = records.read(name)
    if payload is None:
        return None
    try:
        changes = json.loads(payload)
    except ValueError:
        changes = None
    if not isinstance(changes, dict):
        problems.append("%s: an object expected, the record is none and was left out: set it again" % name)
        return None
    return changes
