"""Which images are wrong in localisation, by files of guesses and of true boxes: plain Python."""

import pandas as pd


def localised_wrong(truth, guesses, bound="at-least-half", last=1, blacklisted="left-out"):
    """{id: whether it is wrong}, of all images that are scored.

    truth, guesses: paths. last: pixels that a box has beyond its last. The rest are the choices.
    """
    true = pd.read_parquet(truth).set_index("id")
    found = {}
    for row in pd.read_parquet(guesses).itertuples():
        known = true.loc[row.id]
        if not len(known["boxes"]) or (known["blacklisted"] and blacklisted == "left-out"):
            continue
        found[row.id] = not any(
            label == row.label
            and any(
                overlaps(box, pixels(own, row.width, row.height), bound, last)
                for own in known["boxes"]
            )
            for label, box in zip(row.guesses, row.boxes, strict=True)
        )
    return found


def pixels(box, width, height):
    """The first and last pixels of a true box, which is shares of the image's sides."""
    edges = [round(box["xmin"] * width), round(box["ymin"] * height)]
    return [*edges, round(box["xmax"] * width) - 1, round(box["ymax"] * height) - 1]


def overlaps(one, other, bound="at-least-half", last=1):
    """Whether two boxes, of first and last pixels, have half of their union in common."""
    one, other = ([*box[:2], box[2] + last, box[3] + last] for box in (one, other))
    across, down = (max(0, min(one[a + 2], other[a + 2]) - max(one[a], other[a])) for a in (0, 1))
    common = across * down
    united = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - common
    return common > 0 and (
        2 * common >= united if bound == "at-least-half" else 2 * common > united
    )
