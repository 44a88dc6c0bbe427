"""The command line: help that names the commands, and mistakes told as a list with exit status 2."""

import click
import pytest
from ashibar import __version__
from ashibar.cli import main
from ashibar.cli.simulate import parse_address
from click.testing import CliRunner


def run(*arguments):
    return CliRunner().invoke(main, arguments)


def test_help_names_every_command():
    shown = run("--help").output
    assert all(name in shown for name in ("demo", "run", "simulate", "version"))


@pytest.mark.parametrize("command", ["demo", "run", "simulate"])
def test_every_command_explains_itself(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--" in result.output


def test_the_version_is_the_packages():
    assert run("version").output.strip() == f"ashibar {__version__}"


def test_every_mistake_of_the_configuration_is_listed_and_the_exit_status_is_two(tmp_path):
    path = tmp_path / "ashibar.toml"
    path.write_text('[studio]\nname = "Quiet Room"\n[mqtt]\nport = "1883"\n[journal]\npath = "j"\n')
    result = run("run", "--config", str(path))
    assert result.exit_code == 2
    assert "3 mistakes" in result.output
    assert "[studio] name" in result.output
    assert "[mqtt] port" in result.output
    assert result.output.count("remedy") == 3


def test_a_configuration_that_is_not_there_is_named(tmp_path):
    result = run("run", "--config", str(tmp_path / "nowhere.toml"))
    assert result.exit_code == 2
    assert "nowhere.toml" in result.output


def test_the_commented_example_has_no_mistakes():
    result = run("run", "--check", "--config", "docs/ashibar.toml")
    assert result.exit_code == 0
    assert "no mistakes" in result.output


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("broker:1884", ("broker", 1884)),
        ("broker", ("broker", 1883)),
        ("[::1]:1885", ("::1", 1885)),
        ("[::1]", ("::1", 1883)),
    ],
)
def test_an_address_is_a_host_with_or_without_a_port(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", ":1883", "host:port", "host:0", "host:70000"])
def test_an_address_that_is_none_is_refused_with_an_example(text):
    with pytest.raises(click.BadParameter, match="for example"):
        parse_address(text)
