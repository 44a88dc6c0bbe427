"""The update on a real littlefs, its power cut anywhere: the node always boots, one version whole."""

import json

from firmware_paths import FIRMWARE, ON_DEVICE


def test_a_cut_at_every_chunk_and_at_200_random_bytes_leaves_the_old_or_the_new_version_whole(
    run_micropython,
):
    result = json.loads(
        run_micropython(ON_DEVICE / "update_cuts.py", heapsize="64m", args=(FIRMWARE, 200, 20260101))
    )
    assert result["boundaries_cut"] == result["chunks"] >= 100
    assert result["cuts"] >= result["chunks"] + 200
    assert sum(result["versions"].values()) == result["cuts"]
    assert set(result["versions"]) == {"3.0.0", "4.0.0"}
    assert result["resumed"] >= 5
