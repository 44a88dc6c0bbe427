"""Builds and parses the MQTT topics of docs/protocol.md. It knows no payloads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

ROOT: Final = "ashibar/v1"
NAME_PATTERN: Final = "[a-z0-9-]{1,32}"
_NAME: Final = re.compile(NAME_PATTERN)


class Kind(StrEnum):
    """The last part of a topic: what its payload is."""

    SAMPLES = "samples"
    WEIGHT = "weight"
    STATE = "state"
    ABOUT = "about"
    HEALTH = "health"
    COMMAND = "command"
    REPLY = "reply"
    COMMITTED = "committed"
    DISPLAY = "display"


SESSION_SET: Final = "session/set"  # of a rig: commands to the host, and its answers
SESSION_REPLY: Final = "session/reply"
FROM_NODE: Final = (Kind.SAMPLES, Kind.WEIGHT, Kind.STATE, Kind.ABOUT, Kind.HEALTH, Kind.REPLY)


class TopicError(ValueError):
    """A topic outside the contract."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic taken apart; `str(topic)` puts it together again."""

    studio: str
    node: str
    kind: Kind

    def __str__(self) -> str:
        return f"{ROOT}/{self.studio}/{self.node}/{self.kind}"


def check_name(name: str, what: str = "name") -> str:
    """Return `name` if it may stand in a topic; raise TopicError if not."""
    if not _NAME.fullmatch(name):
        raise TopicError(f"expected a {what} of 1 to 32 of a-z, 0-9 and -, came {name!r}: rename it")
    return name


@lru_cache(maxsize=1024)
def build(studio: str, node: str, kind: Kind) -> str:
    """Return the topic of one kind of payload of one node; raise TopicError on a bad name."""
    return str(Topic(check_name(studio, "studio"), check_name(node, "node"), kind))


def subscription(studio: str, kind: Kind) -> str:
    """Return the filter that matches one kind of payload of all nodes of a studio."""
    return f"{ROOT}/{check_name(studio, 'studio')}/+/{kind}"


def session_subscription(studio: str) -> str:
    """Return the filter that matches the session commands for all rigs of a studio."""
    return f"{ROOT}/{check_name(studio, 'studio')}/+/{SESSION_SET}"


def session_rig(studio: str, topic: str) -> str | None:
    """Return the rig a session command is for, None if the topic is another."""
    head, tail = f"{ROOT}/{studio}/", f"/{SESSION_SET}"
    if not (topic.startswith(head) and topic.endswith(tail)):
        return None
    return topic[len(head) : -len(tail)]


def session_reply(studio: str, rig: str) -> str:
    """Return the topic on which session commands for a rig are answered."""
    return f"{ROOT}/{studio}/{check_name(rig, 'rig')}/{SESSION_REPLY}"


def parse(topic: str) -> Topic:
    """Take a topic apart; raise TopicError, naming the part that is wrong."""
    parts = topic.split("/")
    if len(parts) != 5 or f"{parts[0]}/{parts[1]}" != ROOT:
        raise TopicError(f"expected {ROOT}/<studio>/<node>/<kind>, came {topic!r}")
    _, _, studio, node, last = parts
    try:
        kind = Kind(last)
    except ValueError:
        raise TopicError(f"expected one of {', '.join(Kind)}, came {last!r} in {topic!r}") from None
    return Topic(check_name(studio, "studio"), check_name(node, "node"), kind)
