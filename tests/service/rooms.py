"""The configuration of a studio with limits set, for tests of the service."""

from nodes import document


def configuration(mosquitto, tmp_path, **sections):
    """Return a document of one rig with a limit of 80 %, a band, and hangers for 60 kg."""
    made = document(mosquitto.port, tmp_path / "journal.sqlite")
    for cell in made["rig"][0]["cell"]:
        cell["working_load_kg"] = 60
    made["limits"] = {
        "target_low_percent": 30,
        "target_high_percent": 60,
        "client_limit_percent": 80,
    }
    return made | sections
