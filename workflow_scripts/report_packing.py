"""Join the shards' packing reports: images, bytes, oddities by kind, and images left out.

Example:

    python -m workflow_scripts.report_packing --experiment miniature \\
        --reports results/miniature/packing/*/*.json --output mine.json
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.text_artefacts import read_json, write_json
from workflow_scripts.vgg.data.packing import REPORT_KEYS, join_reports


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--reports", nargs="+", required=True, help="packing/<store>/<shard>.json, of all shards"
    )
    parser.add_argument("--experiment", required=True, help="name of the run")
    parser.add_argument("--output", required=True, help="packing.json to write")
    given = parser.parse_args(arguments)
    stores: dict[str, list[dict]] = {}
    for path in map(Path, given.reports):
        stores.setdefault(path.parent.name, []).append(read_json(path, REPORT_KEYS))
    joined = {store: join_reports(reports) for store, reports in stores.items()}
    write_json(given.output, {"experiment": given.experiment, "stores": joined})
    for store, report in joined.items():
        counts = ", ".join(f"{kind} {len(ids)}" for kind, ids in report["oddities"].items())
        logging.info("%s: %d images; %s", store, report["images"], counts or "nothing odd")
        for image in report["skipped"]:
            logging.warning("%s: left out %s: %s", store, image["id"], image["reason"])


if __name__ == "__main__":
    command.run(main)
