"""Deblur a folder of photos on a Ray cluster, or with two processes here: pip install "gradprox[ray]".

python cluster_deblur.py photos motion:15:45 sharp --workers 2
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gradprox.cli.cluster import process_on_cluster
from gradprox.cli.deblur import Deblurring
from gradprox.cli.jobs import plan_outputs
from gradprox.images import images_in


def main() -> None:
    """Deblur the photos whose outputs do not exist yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("kernel")
    parser.add_argument("output", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()

    pairs = plan_outputs(images_in(arguments.photos.resolve()), arguments.output.resolve())
    missing = [pair for pair in pairs if not pair[1].exists()]
    records = process_on_cluster(Deblurring(arguments.kernel), missing, arguments.workers) if missing else []
    for record in records:
        print(record["name"], record.get("error", record.get("status")))
    raise SystemExit(any("error" in record for record in records))


if __name__ == "__main__":
    main()
