"""Freed memory is kept on request, and only then: building a network changes no setting of the process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

# Allocates as much as the maps of a tile of the color model, twice, and prints the page faults of the second time.
PROGRAM = """
import resource
import torch
{first}
torch.set_num_threads(1)
def faults():
    maps = [torch.ones(3_000_000) for _ in range(12)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
faults()  # the heap settles
print(-faults() + faults())
"""
KEEP = "import gradprox; gradprox.keep_freed_memory()"
BUILD = "from gradprox.networks import IdentityPath, IdentityPathConfig; IdentityPath(IdentityPathConfig())"


def page_faults(first):
    settings = ("MALLOC_", "GLIBC_TUNABLES")  # they would override the call
    environment = {name: value for name, value in os.environ.items() if not name.startswith(settings)}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(first=first)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return int(result.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="memory is kept on Linux with glibc only")
def test_memory_is_kept_on_request_only():
    # 35,000 pages of 4 kB are returned and asked for again by default; one block of 12 MB may move in both cases.
    assert page_faults(KEEP) < 10_000
    assert page_faults(BUILD) > 20_000
