"""`python3 -m ashibar.setup demo|test|check`: makes this checkout ready. Repeating it is cheap."""

from __future__ import annotations

import os
import sys

from ashibar.setup.python import fitting_python, new_enough, refusal

STAGES = ("demo", "test", "check")


def main() -> int:
    """Prepare for the stage named on the command line; the exit status is 0 when it is ready."""
    if len(sys.argv) != 2 or sys.argv[1] not in STAGES:
        print("usage: python3 -m ashibar.setup " + "|".join(STAGES), file=sys.stderr)
        return 2
    python = fitting_python()
    if python is None:
        print(refusal(), file=sys.stderr)
        return 1
    if not new_enough(sys.version_info[:2]):
        os.execv(python, [python, "-m", "ashibar.setup", sys.argv[1]])  # noqa: S606  # the same program, newer Python
    from ashibar.setup.checkout import prepare  # noqa: PLC0415  # its syntax needs the Python just found

    return prepare(sys.argv[1], python)


if __name__ == "__main__":
    sys.exit(main())
