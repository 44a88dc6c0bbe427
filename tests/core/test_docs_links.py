"""What the pages say is there: links, keys, commands, alarms, settings. They are read, not rendered."""

import json
import re
import shlex
from pathlib import Path

import click
import pytest
from ashibar.cli import main
from ashibar.core import config
from ashibar.core.alarm_table import ALARMS
from ashibar.io.journal.schema import MIGRATIONS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "firmware/virtual/README.md", *DOCS.glob("*.md"), *ROOT.glob("hardware/*.md")]
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)
PICTURE_BYTES = 150_000


def text_of(page):
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", text_of(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def problem(page, link):
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.is_relative_to(ROOT) or not target.exists():
        return "leads nowhere"
    return f"no heading #{anchor}" if anchor and anchor not in anchors(target) else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_a_heading_that_are_there(page):
    links = [link for link in LINK.findall(text_of(page)) if "://" not in link]
    assert {link: found for link in links if (found := problem(page, link))} == {}


def test_every_page_is_reached_from_the_readme():
    seen, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        seen.add(page)
        found = {(page.parent / link.partition("#")[0]).resolve() for link in LINK.findall(text_of(page))}
        left += [each for each in found if each.suffix == ".md" and each.exists() and each not in seen]
    assert [page for page in PAGES if page not in seen] == []


def test_every_picture_is_shown_somewhere_and_small():
    shown = {(page.parent / link).resolve() for page in PAGES for link in LINK.findall(text_of(page))}
    pictures = sorted((DOCS / "img").iterdir())
    assert [each.name for each in pictures if each not in shown] == []
    assert [each.name for each in pictures if each.stat().st_size > PICTURE_BYTES] == []


def config_keys():
    sections = {f"[{name}]": fields for name, fields in config._SECTIONS.items()}
    sections |= {"[[rig]]": {"name": None}, "[[rig.cell]]": config._CELL}
    return [(section, key) for section, fields in sections.items() for key in fields]


def test_every_key_of_the_configuration_is_explained_in_its_section():
    explained, section = set(), None
    for row in re.findall(r"^\|(.+)\|$", (DOCS / "configuration.md").read_text(), flags=re.MULTILINE):
        section_said, _, rest = row.partition("|")
        section = section_said.strip(" `") or section
        explained |= {(section, key) for key in re.findall(r"`(\w+)`", rest.partition("|")[0])}
    assert [each for each in config_keys() if each not in explained] == []


def test_every_key_of_the_configuration_stands_in_the_example_in_its_section():
    written, section = set(), None
    for line in (DOCS / "ashibar.toml").read_text().splitlines():
        if head := re.match(r"(?:# )?(\[\[?[\w.]+\]\]?)", line):
            section = head[1]
        elif key := re.match(r"(?:# )?(\w+) = ", line):
            written.add((section, key[1]))
    assert [each for each in config_keys() if each not in written] == []


def test_every_command_is_named_on_the_page_of_the_command_line():
    rows = re.findall(r"^\| (`.+?) \|", (DOCS / "cli.md").read_text(), flags=re.MULTILINE)
    named = {word for row in rows for word in re.findall(r"`([a-z-]+)", row)}
    assert sorted(set(main.list_commands(click.Context(main))) - named) == []


def written_commands(page):
    """Every `ashibar ...` in running text and in blocks, as words; an ellipsis or a placeholder ends it."""
    text = page.read_text(encoding="utf-8")
    lines = re.findall(r"^(?:\S*/)?ashibar ([a-z].*)$", "\n".join(FENCE.findall(text)), flags=re.MULTILINE)
    lines += re.findall(r"`(?:[\w./]*/)?ashibar ([a-z][^`]*)`", FENCE.sub("", text))
    return [re.sub(r"\[|\]| {2,}.*", "", line) for line in lines]


def stranger(line):
    """The first word of a command line that the command line does not know, None for none."""
    command, context = main, click.Context(main)
    for word in shlex.split(line):
        known = {
            option for each in command.get_params(context) for option in (*each.opts, *each.secondary_opts)
        }
        if word.startswith("-"):
            if word not in known:
                return word
        elif isinstance(command, click.Group) and (named := command.get_command(context, word)):
            command = named
            context = click.Context(command, parent=context)
        elif isinstance(command, click.Group) and not command.invoke_without_command:
            return word
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_a_page_gives_is_one_the_command_line_knows(page):
    found = {line: stranger(line) for line in written_commands(page)}
    assert {line: word for line, word in found.items() if word is not None} == {}


def test_the_owner_is_told_of_every_alarm_in_the_words_of_the_page():
    page = (DOCS / "owner.md").read_text()
    rows = [f"| `{alarm.key}` | {alarm.message}. | {alarm.what_to_do} |" for alarm in ALARMS]
    assert [row for row in rows if row not in page] == []


def test_every_migration_of_the_journal_is_listed_with_its_tables():
    listed = dict(
        re.findall(r"^\| (\d+) \| `.+?\| (.+) \|$", (DOCS / "journal.md").read_text(), flags=re.MULTILINE)
    )
    made = {
        str(number): re.findall(r"CREATE TABLE (\w+)", " ".join(statements))
        for number, statements in enumerate(MIGRATIONS, 1)
    }
    assert {number: re.findall(r"`(\w+)`", tables) for number, tables in listed.items()} == made


def test_the_commands_of_make_are_those_of_the_makefile():
    found = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    targets = set(found) - {"help", "lint", "ready"}  # what the others are made of
    page = (DOCS / "developer.md").read_text()
    assert sorted(targets - set(re.findall(r"`make ([a-z-]+)`", page))) == []
    said = {target for each in PAGES for target in re.findall(r"`(?:[^`\n]* )?make ([a-z-]+)", text_of(each))}
    assert sorted(said - targets) == []


def test_the_configuration_the_installer_copies_is_one_the_node_accepts(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "firmware"))
    from barnode.config import Config  # noqa: PLC0415 - importable only from here on

    example = re.search(
        r"^```json\n(.+?)^```", (DOCS / "installer.md").read_text(), flags=re.MULTILINE | re.DOTALL
    )
    assert Config(json.loads(example[1])).problems == []
