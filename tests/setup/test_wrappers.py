"""The start scripts of privately unpacked programs: they run from anywhere, with their own libraries."""

import shutil
import subprocess

import pytest
from ashibar.setup.say import SetupError
from ashibar.setup.wrappers import write_wrapper

PROGRAM = '#!/bin/sh\necho "$LD_LIBRARY_PATH|$*"\n'


def unpacked(tree, program="usr/sbin/daemon"):
    path = tree / program
    path.parent.mkdir(parents=True)
    path.write_text(PROGRAM)
    path.chmod(0o755)
    (tree / "usr/lib/x86_64-linux-gnu").mkdir(parents=True)
    return path


def test_a_wrapper_finds_its_libraries_after_the_checkout_has_moved(tmp_path):
    unpacked(tmp_path / "old" / "root-system")
    write_wrapper(tmp_path / "old" / "bin", "daemon", tmp_path / "old" / "root-system")
    moved = shutil.move(tmp_path / "old", tmp_path / "new place")
    done = subprocess.run([moved / "bin" / "daemon", "-p", "1 2"], capture_output=True, text=True, check=True)
    libraries, arguments = done.stdout.strip().split("|")
    assert arguments == "-p 1 2"
    assert "new place" in libraries
    assert "usr/lib/x86_64-linux-gnu" in libraries


def test_a_tree_with_its_own_c_library_is_run_by_its_own_loader(tmp_path):
    tree = tmp_path / "root-trixie"
    unpacked(tree)
    own = tree / "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    own.write_text('#!/bin/sh\necho "$@"\n')
    own.chmod(0o755)
    script = write_wrapper(tmp_path / "bin", "daemon", tree)
    words = subprocess.run([script, "x"], capture_output=True, text=True, check=True).stdout.split()
    assert words[0] == "--library-path"
    assert words[1].endswith("usr/lib/x86_64-linux-gnu")
    assert words[2].endswith("usr/sbin/daemon")
    assert words[3] == "x"


def test_a_program_that_is_not_in_its_package_is_named(tmp_path):
    (tmp_path / "root").mkdir()
    with pytest.raises(SetupError, match="daemon is not in the packages"):
        write_wrapper(tmp_path / "bin", "daemon", tmp_path / "root")
