"""The configuration: the commented example loads, and every mistake is named with place and remedy."""

from pathlib import Path

import pytest
from ashibar.core.config import Config, ConfigError, check
from ashibar.core.units import NEWTON_PER_KG
from ashibar.io.config_file import load, read_secret
from hypothesis import given
from hypothesis import strategies as st

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "ashibar.toml"


def good():
    cell = {"hanger": "left-head", "node": "bars-1", "channel": 0, "capacity_kg": 200, "class": "C3"}
    return {"studio": {"name": "s"}, "journal": {"path": "j"}, "rig": [{"name": "room-1", "cell": [cell]}]}


def mistakes(raw):
    with pytest.raises(ConfigError) as error:
        check(raw)
    return [(each.place, each.remedy) for each in error.value.mistakes]


def test_the_commented_example_loads_and_its_paths_are_absolute():
    config = load(EXAMPLE)
    assert config.studio == "quiet-room"
    assert config.session.body_weight_n == pytest.approx(62.5 * NEWTON_PER_KG)
    assert len(config.rigs[0].cells) == 4
    assert Path(config.journal_path) == EXAMPLE.parent / "data" / "journal.sqlite"


def test_every_key_the_example_comments_out_is_understood(tmp_path):
    lines = EXAMPLE.read_text().splitlines()
    keys = ("client_id", "protocol", "username", "password_file", "tls", "ca_file", "[limits]", "target_",
            "client_limit",            "[influx]", "url", "org", "bucket", "token_file")  # fmt: skip
    opened = [line[2:] if line.startswith(tuple(f"# {key}" for key in keys)) else line for line in lines]
    file = tmp_path / "ashibar.toml"
    file.write_text("\n".join(opened))
    config = load(file)
    assert config.limits.client_limit == pytest.approx(0.8)
    assert config.influx.bucket == "ashibar"
    assert config.mqtt.tls


def test_what_is_left_out_has_a_default():
    config = check(good())
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.client_id) == ("127.0.0.1", 1883, "ashibar-s")
    assert config.influx is None
    assert config.session.body_weight_n is None


@pytest.mark.parametrize(
    ("change", "place", "remedy"),
    [
        ({"studio": {"name": "Quiet Room"}}, "[studio] name", "MQTT topics"),
        ({"studio": {}}, "[studio] name", "add name"),
        ({"studio": 3}, "[studio]", "on a line of its own"),
        ({"studoi": {"name": "s"}}, "studoi", "did you mean studio?"),
        ({"mqtt": {"prot": 1}}, "[mqtt] prot", "did you mean port?"),
        ({"mqtt": {"port": "1883"}}, "[mqtt] port", "without quotes"),
        ({"mqtt": {"port": True}}, "[mqtt] port", "without quotes"),
        ({"mqtt": {"username": "u"}}, "[mqtt]", "add the other"),
        ({"mqtt": {"ca_file": "x"}}, "[mqtt] ca_file", "add tls = true"),
        ({"rig": []}, "[[rig]]", "add a [[rig]]"),
        ({"rig": [{"name": "a"}]}, "[[rig]] 1 cell", "add cell"),
        ({"session": {"body_weight_kg": 12}}, "[session] body_weight_kg", "without a unit"),
        ({"session": {"body_weight_kg": float("nan")}}, "[session] body_weight_kg", "without a unit"),
        ({"display": {"unit": "stone"}}, "[display] unit", "choose one"),
        ({"limits": {"target_low_percent": 60, "target_high_percent": 30}}, "[limits]", "in that order"),
        ({"influx": {"url": "localhost:8086", "bucket": "b"}}, "[influx] url", "http://"),
        ({"influx": {"url": "http://h:1"}}, "[influx] bucket", "add bucket"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_the_remedy(change, place, remedy):
    found = mistakes(good() | change)
    assert any(where == place and remedy in text for where, text in found), found


def test_all_mistakes_are_named_at_once():
    raw = good() | {"mqtt": {"port": 0, "hots": "x"}, "display": {"unit": "g"}}
    assert len(mistakes(raw)) == 3


def test_a_hanger_named_twice_and_a_channel_named_twice_are_mistakes():
    raw = good()
    raw["rig"][0]["cell"] *= 2
    assert len(mistakes(raw)) == 2


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
SECTIONS = st.sampled_from(
    ["studio", "mqtt", "journal", "web", "session", "display", "limits", "influx", "rig", "x"]
)


@given(st.dictionaries(SECTIONS, JUNK, max_size=4))
def test_any_document_gives_a_configuration_or_its_mistakes(junk):
    found = []
    try:
        config = check(good() | junk)
    except ConfigError as error:
        config, found = None, error.mistakes
    assert isinstance(config, Config) or found


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"[studio\nname"])
def test_a_file_that_is_missing_or_no_toml_is_named(tmp_path, content):
    file = tmp_path / "ashibar.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"ashibar\.toml: expected"):
        load(file)


def test_a_secret_that_others_can_read_is_warned_of(tmp_path):
    file = tmp_path / "token"
    file.write_text("secret\n")
    file.chmod(0o644)
    text, warnings = read_secret(str(file), "token")
    assert text == "secret"
    assert "chmod 600" in warnings[0]
    file.chmod(0o600)
    assert read_secret(str(file), "token") == ("secret", [])


@pytest.mark.parametrize("content", ["", "two\nlines"])
def test_a_secret_file_without_one_line_is_refused_without_showing_it(tmp_path, content):
    file = tmp_path / "token"
    file.write_text(content)
    with pytest.raises(ConfigError, match="one line with the token") as error:
        read_secret(str(file), "token")
    assert "two" not in str(error.value)
