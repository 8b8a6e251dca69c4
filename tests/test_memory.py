"""Freed memory is kept on request, and only then: building a network changes no setting of the process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

# Allocates as much as the maps of a tile of the color model, frees it, and prints how many megabytes the process keeps.
# (Page faults would tell less: a system with huge pages takes few of them either way.)
PROGRAM = """
import os
import torch
{first}
torch.set_num_threads(1)
def resident():
    with open("/proc/self/statm") as sizes:
        return int(sizes.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
def use():
    maps = [torch.ones(3_000_000) for _ in range(12)]
    return resident()
before = resident()
assert use() > before + 100
print(resident() - before)
"""
KEEP = "import gradprox; gradprox.keep_freed_memory()"
BUILD = "from gradprox.networks import IdentityPath, IdentityPathConfig; IdentityPath(IdentityPathConfig())"


def kept_megabytes(first):
    settings = ("MALLOC_", "GLIBC_TUNABLES")  # they would override the call
    environment = {name: value for name, value in os.environ.items() if not name.startswith(settings)}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(first=first)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return float(result.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="memory is kept on Linux with glibc only")
def test_memory_is_kept_on_request_only():
    # Of 144 MB; one block of 12 MB may stay or go in both cases.
    assert kept_megabytes(KEEP) > 100
    assert kept_megabytes(BUILD) < 40
