"""The jobs of the command line on a cluster: Ray Data hands files to workers and starts lost ones again.

Needs the extra ``gradprox[ray]``. Inputs and outputs are paths that every machine of the cluster sees.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradprox.cli.jobs import Job, Record, process


class _Worker:
    """A process of the cluster with the model loaded once."""

    def __init__(self, job: Job) -> None:
        self._work = job.open()

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        record = process(self._work, Path(row["source"]), Path(row["target"]), lambda _: None)
        return {"record": json.dumps(record)}


def process_on_cluster(job: Job, pairs: Sequence[tuple[Path, Path]], workers: int) -> list[Record]:
    """Process every file once, on the cluster `ray.init` found or on this machine; return what to report of each.

    Outputs appear whole or not at all, and a file whose worker was killed is given to another: it replaces what the
    first one may just have written, so that none is lost and none is there twice.

    Args:
        job: what to do with each file.
        pairs: inputs and outputs, absolute paths.
        workers: processes in all, of one core each.

    Raises:
        ray.exceptions.RayError: the cluster is gone.
    """
    import ray.data

    rows = [{"source": str(source), "target": str(target)} for source, target in pairs]
    # One file a block: what is given to a worker, and given again, is one file.
    files = ray.data.from_items(rows, override_num_blocks=len(rows))
    worker: Any = _Worker  # a class is called once for each process, then its objects for each row
    done = files.map(worker, fn_constructor_args=(job,), concurrency=workers)
    return [json.loads(row["record"]) for row in done.take_all()]
