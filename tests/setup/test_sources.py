"""Reading where the system gets its packages: both forms of apt's files, and nothing from third parties."""

from ashibar.setup.sources import Source, of_release, parse_deb822, parse_list, read_sources

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://archive.invalid/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://elsewhere.invalid/repo
Suites: stable
Components: main
Enabled: no

Types: deb
URIs: http://security.invalid
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
"""


def test_a_deb822_file_gives_one_source_for_each_suite_and_leaves_out_what_is_disabled():
    sources = list(parse_deb822(DEB822))
    assert [source.suite for source in sources] == ["bookworm", "bookworm-updates", "bookworm-security"]
    assert sources[0].signed_by == "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert sources[0].components == ("main", "contrib")


def test_a_key_written_into_the_file_is_left_to_apts_own_trust():
    assert list(parse_deb822(DEB822))[2].signed_by is None


def test_a_one_line_entry_is_read_with_and_without_options():
    text = (
        "# deb http://gone.invalid old main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://a.invalid trixie main # here\n"
        "deb http://b.invalid trixie-updates main contrib\n"
        "deb-src http://b.invalid trixie main\n"
    )
    assert list(parse_list(text)) == [
        Source("http://a.invalid", "trixie", ("main",), "/k.gpg"),
        Source("http://b.invalid", "trixie-updates", ("main", "contrib"), None),
    ]


def test_a_source_written_as_a_line_reads_back_as_itself():
    source = Source("http://a.invalid", "trixie", ("main",), "/k.gpg")
    assert list(parse_list(source.line())) == [source]


def test_only_the_distributions_own_suites_are_used(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://third.invalid nodistro main\n")
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    suites = [source.suite for source in of_release(read_sources(tmp_path), "bookworm")]
    assert suites == ["bookworm", "bookworm-updates", "bookworm-security"]
