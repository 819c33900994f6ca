"""Render what the nets see and what they get wrong as a self-contained HTML page.

Example:

    python -m workflow_scripts.render_pictures \\
        --score-maps results/miniature/pictures/score_maps.json \\
        --crops results/miniature/pictures/crops.json \\
        --images results/miniature/pictures/images.json \\
        --classes results/miniature/pictures/classes.json \\
        --filters results/miniature/pictures/filters.json \\
        --config results/miniature/config.yaml --output mine.html
"""

from __future__ import annotations

from collections.abc import Sequence

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import whole_file
from workflow_scripts.vgg.report import inputs, pictures_page


def main(arguments: Sequence[str] | None) -> None:
    parser = command.parser(__doc__)
    for kind, made_by in (
        ("score_maps", "look_through_net"),
        ("crops", "look_through_net"),
        ("images", "examine_errors"),
        ("classes", "examine_errors"),
        ("boxes", "examine_boxes"),
        ("features", "examine_features"),
        ("filters", "draw_filters"),
    ):
        name = f"--{kind.replace('_', '-')}"
        help = f"{kind}.json of {made_by}"
        optional = kind in pictures_page.OPTIONAL
        parser.add_argument(name, required=not optional, help=help + "; if wanted" * optional)
    parser.add_argument("--curves", help="features.svg of examine_features, if there are curves")
    parser.add_argument("--config", required=True, help="the run's resolved configuration")
    parser.add_argument(
        "--pages",
        nargs="*",
        default=[],
        help="names of the pages beside this one, which it links to: index, table5, …",
    )
    parser.add_argument("--output", required=True, help="the HTML page to write")
    given = parser.parse_args(arguments)

    page = pictures_page.render_pictures(
        {
            kind: pictures_page.load(kind, path) if (path := getattr(given, kind)) else None
            for kind in pictures_page.KEYS
        },
        inputs.load_config(given.config),
        given.pages,
        given.curves,
    )
    with whole_file(given.output) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    command.run(main)
