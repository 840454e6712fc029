"""The processes below this one are found and ended, orphans too."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

# A child that starts a grandchild and dies: its orphan comes to whoever adopts orphans.
SCRIPT = """
import subprocess, sys, time
from reelscribe.pipeline.family import adopt_orphans, descendants, end_descendants
adopt_orphans()
forks = "import subprocess; subprocess.Popen(['sleep', '1000'])"
subprocess.run([sys.executable, "-c", forks], check=True)
child = subprocess.Popen(["sleep", "1000"])
found = descendants()
print(len(found), child.pid in found)
end_descendants()
child.wait()
print(descendants(), child.returncode)
"""


def test_orphans_are_found_and_ended() -> None:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["2 True", "[] -9"], done.stderr
    assert time.monotonic() - began < 100, "nobody waited for the sleepers"


def test_a_dead_child_that_nobody_waited_for_is_none() -> None:
    from reelscribe.pipeline.family import descendants

    child = subprocess.Popen(["true"])
    while os.path.exists(f"/proc/{child.pid}/stat"):
        with open(f"/proc/{child.pid}/stat") as stat:
            if stat.read().rpartition(")")[2].split()[0] == "Z":
                break
        time.sleep(0.01)
    assert child.pid not in descendants()
    child.wait()
