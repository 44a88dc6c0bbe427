"""What `doctor` tells a person to change can be changed."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

from ashibar import doctor
from ashibar.core.config import check
from ashibar.io.journal import Journal
from servers import free_port
from studio import HANGERS

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_a_full_disk_names_the_settings_that_let_old_data_go(tmp_path, monkeypatch):
    Journal(tmp_path / "journal.sqlite").close()
    cells = [
        {"hanger": name, "node": "bars", "channel": i, "capacity_kg": 200, "class": "0.2%"}
        for i, name in enumerate(HANGERS)
    ]
    document = {
        "studio": {"name": "test"},
        "mqtt": {"port": free_port()},
        "journal": {"path": str(tmp_path / "journal.sqlite")},
        "rig": [{"name": "room-1", "cell": cells}],
    }
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=100, used=99, free=1))
    (disk,) = [each for each in doctor.examine(check(document)) if each.name == "disk"]
    assert not disk.ok
    assert "[journal] raw_days" in disk.remedy
    check(document | {"journal": document["journal"] | {"raw_days": 30, "max_gb": 5}})


def test_every_section_that_doctor_names_is_in_the_configuration():
    named = set(re.findall(r"\[([a-z_]+)\]", "".join(_texts())))
    known = set(re.findall(r"\[([a-z_]+)\]", DOCS.read_text(encoding="utf-8")))
    assert {"journal", "mqtt"} <= named <= known


def _texts():
    """The strings of doctor's own source, without its types."""
    source = Path(doctor.__file__).read_text(encoding="utf-8")
    return re.findall(r'"([^"\n]*)"', source)
