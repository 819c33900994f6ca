"""Write the file of test scores that PASCAL VOC's evaluation server takes (appendix B).

A compressed tar of results/<folder>/Main/comp2_cls_test_<class>.txt, or for actions of
Action/comp10_action_test_<class>.txt, with a line an image, or person, and its score.

Example:

    python -m workflow_scripts.write_server_file --folder VOC2012 \\
        --examples results/miniature/examples/voc2012.parquet \\
        --scores results/miniature/classifiers/voc2012/D_E.parquet --output mine.tar.gz
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.data.examples import read_examples
from workflow_scripts.vgg.results.server_files import write_server_file
from workflow_scripts.vgg.transfer.scores import read_scores

FOLDER = re.compile(r"\w[\w.-]*", re.ASCII)
SUFFIX = ".tar.gz"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--scores", required=True, help="of the test examples (parquet)")
    parser.add_argument("--examples", required=True, help="the data set's (parquet)")
    parser.add_argument("--folder", required=True, help="in results/, such as VOC2012")
    parser.add_argument("--output", required=True, help="file to write (.tar.gz)")
    given = parser.parse_args(arguments)
    if not FOLDER.fullmatch(given.folder):
        parser.error(f"--folder {given.folder}: expected one name, such as VOC2012")
    if not given.output.endswith(SUFFIX):
        parser.error(f"--output {given.output}: expected a name that ends in {SUFFIX}")
    write_server_file(
        given.output,
        read_scores(given.scores),
        read_examples(given.examples),
        given.folder,
    )


if __name__ == "__main__":
    command.run(main)
