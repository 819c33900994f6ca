"""A plan as tables, the same for the terminal and for the page: planned, and actual where known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..core.progress import duration
from ..planning import feature_costs
from ..planning.records import total

KINDS = {
    "train_convnet": "trainings",
    "evaluate_convnet": "evaluations",
    "evaluate_choice": "checks in float32",
    "evaluate_boxes": "boxes of nets",
    "localise": "guesses",
    "guess_one_box": "guesses of one box",
    "pack_shard": "shards",
    "read_boxes": "true boxes",
    "import_weights": "imported weights",
    "describe_images": "descriptors",
    "train_classifiers": "classifiers",
    "index_examples": "examples",
    "draw_weights": "random weights",
}


class Cell(NamedTuple):
    """Text for a reader, and the exact number behind it for programs; None for words."""

    text: str
    value: float | None = None


class Column(NamedTuple):
    """A heading, the key of what stands below it, how that is written, and whether it is summed."""

    heading: str
    key: str
    written: Callable[..., Cell]
    summed: bool = False


@dataclass(frozen=True)
class Table:
    """One table. The first column names the rows; `last` is a row of sums, or None."""

    name: str
    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    last: Sequence[Cell] | None

    @property
    def numeric(self) -> list[bool]:
        """Of each column, whether it holds numbers."""
        columns = zip(*self.rows, strict=True)
        return [any(cell.value is not None for cell in column) for column in columns]


def word(text: str | None) -> Cell:
    """Words; a dash where there are none."""
    return Cell(text or "–")


def words(texts: Sequence[str] | None) -> Cell:
    return word(", ".join(texts or []))


def count(number: int | None) -> Cell:
    """An integer with its thousands marked."""
    return word(None) if number is None else Cell(f"{number:,}", number)


def rate(number: float | None) -> Cell:
    """Three digits."""
    if number is None:
        return word(None)
    return Cell(f"{number:,.0f}" if number >= 99.95 else f"{number:.3g}", number)


def flop(number: float | None) -> Cell:
    """Such as 30.9 GFLOP."""
    return _prefixed(number, "FLOP")


def size(number: float | None) -> Cell:
    """Bytes in decimal units, such as 6.74 GB."""
    return _prefixed(number, "B")


def memory(megabytes: float | None) -> Cell:
    return _prefixed(megabytes and megabytes * 1e6, "B")


def hours(number: float | None) -> Cell:
    """Hours in the unit that suits them, such as 237 h, 31.0 h, 12.3 min, 4.2 s."""
    if number is None:
        return word(None)
    amount, unit = number, "h"
    for units, name in ((1, "h"), (60, "min"), (3600, "s")):
        amount, unit = number * units, name
        if amount >= 1:
            break
    return Cell(f"{amount:,.{0 if amount >= 99.95 else 1}f} {unit}", number)


BY_KIND = (
    Column("kind of job", "kind", word),
    Column("jobs", "jobs", count),
    Column("arithmetic", "flop", flop),
    Column("planned time", "hours", hours),
)
BY_KIND_ACTUAL = (
    Column("recorded", "actual_jobs", count),
    Column("actual time", "actual_device_hours", hours),
    Column("CPU time", "actual_cpu_hours", hours),
    Column("memory", "actual_peak_memory_mb", memory),
    Column("GPU memory", "actual_gpu_peak_memory_mb", memory),
)
CONVNETS = (
    Column("ConvNet", "net", word),
    Column("weight layers", "weight_layers", count),
    Column("parameters", "parameters", count),
    Column("forward pass", "forward_flop", flop),
    Column("training step", "training_flop", flop),
)
TRAININGS = (
    Column("training", "model", word),
    Column("seed", "seed", count),
    Column("from", "parent", word),
    Column("trains", "trainable", word),
    Column("iterations", "iterations", count),
    Column("images", "images", count, True),
    Column("an image", "flop_per_image", flop),
    Column("arithmetic", "flop", flop, True),
    Column("device time", "hours", hours, True),
    Column("of them validating", "validation_hours", hours, True),
    Column("wall", "wall_hours", hours),
)
TRAININGS_DISK = (
    Column("weights", "disk", size, True),
    Column("checkpoints", "checkpoints", size),
)
EVALUATIONS = (
    Column("evaluation of", "model", word),
    Column("seed", "seed", count),
    Column("by", "method", word),
    Column("Q", "Q", count),
    Column("split", "split", word),
    Column("images", "images", count, True),
    Column("an image", "flop_per_image", flop),
    Column("arithmetic", "flop", flop, True),
    Column("device time", "hours", hours, True),
)
EVALUATIONS_DISK = (Column("posteriors", "disk", size, True),)
BOXES = (
    Column("boxes of", "model", word),
    *EVALUATIONS[1:5],
    Column("boxes of a class", "boxes", rate),
    *EVALUATIONS[5:],
)
BOXES_DISK = (Column("boxes", "disk", size, True),)
GUESSES = (
    Column("guesses of row", "row", word),
    Column("seed", "seed", count),
    Column("by", "models", words),
    Column("split", "split", word),
    Column("images", "images", count, True),
    Column("boxes of a class", "boxes", rate),
    Column("core time", "hours", hours, True),
    Column("wall", "wall_hours", hours),
)
GUESSES_DISK = (Column("guesses", "disk", size, True),)
DESCRIPTORS = (
    Column("descriptors of", "split", word),
    Column("by", "model", word),
    Column("weights", "weights", word),
    Column("seed", "seed", count),
    Column("region", "method", word),
    Column("Q", "Q", count),
    *EVALUATIONS[5:],
)
DESCRIPTORS_DISK = (Column("descriptors", "disk", size, True),)
CLASSIFIERS = (
    Column("classifiers of row", "row", word),
    Column("data set", "split", word),
    Column("seed", "seed", count),
    Column("by", "models", words),
    Column("examples", "images", count),
    Column("numbers of each", "dimensions", count),
    Column("classes", "classes", count),
    Column("arithmetic", "flop", flop, True),
    Column("core time", "hours", hours, True),
    Column("wall", "wall_hours", hours),
)
CLASSIFIERS_DISK = (Column("scores", "disk", size, True),)
EXAMPLES = (
    Column("examples of", "split", word),
    Column("images", "images", count, True),
    Column("core time", "hours", hours, True),
)
EXAMPLES_DISK = (Column("examples", "disk", size, True),)
TRUE_BOXES = (
    Column("true boxes of", "split", word),
    Column("images", "images", count, True),
    Column("core time", "hours", hours, True),
)
IMPORTS = (Column("model", "name", word),)
RANDOM_WEIGHTS = (Column("random weights like", "model", word), Column("seed", "seed", count))
IMPORTS_DISK = (Column("weights", "disk", size, True),)
PACKING = (
    Column("store", "name", word),
    Column("shards", "jobs", count, True),
    Column("images", "images", count, True),
    Column("core time", "hours", hours, True),
    Column("wall for a shard", "wall_hours", hours),
)
PACKING_DISK = (Column("disk", "disk", size, True),)
ACTUAL = (
    Column("actual wall", "actual_wall_hours", hours, True),
    Column("images/s", "actual_images_per_second", rate),
    Column("TFLOP/s a device", "actual_tflops", rate),
    Column("memory", "actual_peak_memory_mb", memory),
    Column("GPU memory", "actual_gpu_peak_memory_mb", memory),
    Column("devices", "actual_processes", count),
    Column("hardware", "actual_hardware", words),
    Column("node", "actual_node", words),
    Column("Slurm job", "actual_slurm_job_id", words),
    Column("attempts", "actual_attempts", count),
)
DISK = (Column("part", "part", word), Column("size", "bytes", size, True))
PATH = (
    Column("job", "job", word),
    Column("wall", "wall_hours", hours),
    Column("ends after", "ends_after", hours),
)


def tables(plan: dict) -> list[Table]:
    """The tables of a plan that have rows; columns of actual cost only where there are records."""
    jobs = {rule: [j for j in plan["jobs"] if j["rule"] == rule] for rule in KINDS}
    kinds = [row | {"kind": KINDS.get(row["rule"], row["rule"])} for row in plan["by_rule"]]
    chain, passed = [], 0.0
    for job in plan["critical_path"]:
        passed += job["wall_hours"] or 0.0
        chain.append(job | {"job": f"{job['rule']} {job['name']}", "ends_after": passed})
    made = [
        table_of("kinds", "Jobs by kind", kinds, BY_KIND, actual=BY_KIND_ACTUAL),
        table_of("path", "Critical path", chain, PATH),
        table_of(
            "trainings",
            "Trainings",
            jobs["train_convnet"],
            TRAININGS,
            actual=ACTUAL,
            disk=TRAININGS_DISK,
        ),
        table_of(
            "imports",
            "Imported weights",
            jobs["import_weights"],
            IMPORTS,
            actual=ACTUAL,
            disk=IMPORTS_DISK,
        ),
        table_of(
            "evaluations",
            "Evaluations",
            jobs["evaluate_convnet"],
            EVALUATIONS,
            actual=ACTUAL,
            disk=EVALUATIONS_DISK,
        ),
        table_of(
            "checks",
            "Evaluations once more in float32",
            jobs["evaluate_choice"],
            EVALUATIONS,
            actual=ACTUAL,
            disk=EVALUATIONS_DISK,
        ),
        table_of("boxes", "Boxes", jobs["evaluate_boxes"], BOXES, actual=ACTUAL, disk=BOXES_DISK),
        table_of(
            "guesses",
            "Guesses",
            [*jobs["localise"], *jobs["guess_one_box"]],
            GUESSES,
            actual=ACTUAL,
            disk=GUESSES_DISK,
        ),
        table_of(
            "true boxes",
            "True boxes",
            jobs["read_boxes"],
            TRUE_BOXES,
            actual=ACTUAL,
            disk=BOXES_DISK,
        ),
        table_of(
            "descriptors",
            "Descriptors",
            jobs["describe_images"],
            DESCRIPTORS,
            actual=ACTUAL,
            disk=DESCRIPTORS_DISK,
        ),
        table_of(
            "classifiers",
            "Classifiers",
            jobs["train_classifiers"],
            CLASSIFIERS,
            actual=ACTUAL,
            disk=CLASSIFIERS_DISK,
        ),
        table_of(
            "examples",
            "Examples",
            jobs["index_examples"],
            EXAMPLES,
            actual=ACTUAL,
            disk=EXAMPLES_DISK,
        ),
        table_of(
            "random weights",
            "Random weights",
            jobs["draw_weights"],
            RANDOM_WEIGHTS,
            actual=ACTUAL,
            disk=IMPORTS_DISK,
        ),
        table_of(
            "packing", "Packing", jobs["pack_shard"], PACKING, actual=ACTUAL, disk=PACKING_DISK
        ),
        table_of("disk", "Disk", plan["disk"], DISK),
        table_of("nets", "ConvNets, and arithmetic for one crop", plan["nets"], CONVNETS),
    ]
    return [table for table in made if table.rows]


def headline(plan: dict) -> dict[str, Cell]:
    """The plan's largest numbers by name."""
    totals = plan["totals"]
    parts = {
        "passes for boxes": totals["box_evaluations"],
        "passes for descriptors": totals["descriptions"],
        "rows of classifiers": totals["classifiers"],
    }
    return {
        "trainings": count(totals["trainings"]),
        "evaluations": count(totals["evaluations"]),
        **{name: count(number) for name, number in parts.items() if number},
        "arithmetic": flop(totals["flop"]),
        "device-hours": hours(totals["device_hours"]),
        "longest chain": hours(totals["wall_hours"]),
        "disk": size(totals["disk"]),
    }


def summary(plan: dict) -> list[str]:
    """The plan's assumptions and results, in sentences."""
    given, totals = plan["assumptions"], plan["totals"]
    training = f"{given['train_tflops']:.4g} TFLOP/s a device in training, and of "
    evaluation = f"{given['evaluate_tflops']:.4g} TFLOP/s in evaluation"
    if given["evaluate_precision"] != "float32":
        evaluation += (
            f" in {given['evaluate_precision']}, {given['check_tflops']:.4g} TFLOP/s of the "
            "evaluations that are checked in float32"
        )
    hardware = given.get("measured_on")
    origin = f", measured on {hardware} by `snakemake benchmarks`" if hardware else ""
    lines = [
        "Planned by arithmetic, not measured: device-hours (GPU-hours, where there are GPUs) at a "
        f"{'measured' if hardware else 'stated'} sustained rate of "
        f"{training if totals['trainings'] else ''}{evaluation}{origin}. A multiply-add is 2 FLOP."
    ]
    if totals["trainings"]:
        lines.append(
            "A training step is three forward passes less the gradients that nothing needs. All "
            "iterations are planned; plateaus may end a training sooner."
        )
    if totals["box_evaluations"]:
        lines.append(
            "Boxes of whole images take two passes, by the net of boxes and by the classifier that "
            "rates them. Merging them and reading true boxes are planned in hours of one core, at "
            "rates measured once."
        )
    if totals["descriptions"]:
        lines.append(_of_features(any(job["method"] == "box" for job in plan["jobs"])))
    lines += [
        "Packing is planned in hours of one core, at rates measured once on photographs of "
        "500×375 pixels and scaled by pixels. Checking and indexing the archives, statistics, "
        "tables and pages are not planned.",
        f"Images: {'; '.join(map(_of_split, given['splits']))}. Those that are not packed yet are "
        f"taken to be of {_sizes(given)}.",
    ]
    if given["processes"] > 1:
        lines.append(f"Each training runs on {given['processes']} devices.")
    if totals["unknown"]:
        lines.append(
            f"{totals['unknown']} jobs work on an unknown number of images and are in no total: "
            "state their numbers, data.images or images of a data set in transfer, or plan again "
            "once they are indexed."
        )
    if totals["device_hours"]:
        lines.append(_least_time(totals["device_hours"], totals["wall_hours"]))
    return lines


def as_text(plan: dict) -> str:
    """The plan for a terminal: sentences, then aligned tables."""
    parts = [f"Plan of experiment {plan['experiment']}", *summary(plan)]
    return "\n".join([*parts, *(f"\n{aligned(table)}" for table in tables(plan))])


def table_of(
    name: str,
    title: str,
    items: Iterable[dict],
    planned: Sequence[Column],
    actual: Sequence[Column] = (),
    disk: Sequence[Column] = (),
) -> Table:
    """Items as rows. Of the columns on actual cost, those that any item fills."""
    items = [item | _flat(item.get("actual")) for item in items]
    filled = [column for column in actual if any(item.get(column.key) for item in items)]
    columns = [*planned, *filled, *disk]
    rows = [[column.written(item.get(column.key)) for column in columns] for item in items]
    last = None
    if len(rows) > 1 and any(column.summed for column in columns):
        sums = [
            column.written(total(item.get(column.key) for item in items))
            if column.summed
            else Cell("")
            for column in columns
        ]
        last = [Cell("all"), *sums[1:]]
    return Table(name, title, [column.heading for column in columns], rows, last=last)


def _flat(actual: dict | None) -> dict:
    return {f"actual_{key}": value for key, value in (actual or {}).items()}


def _prefixed(number: float | None, unit: str) -> Cell:
    if number is None:
        return word(None)
    amount, prefix = float(number), ""
    for larger in ("k", "M", "G", "T", "P", "E", "Z"):
        if amount < 999.5:
            break
        amount, prefix = amount / 1000, larger
    digits = max(0, 3 - len(f"{amount:.0f}")) if prefix else 0
    return Cell(f"{amount:.{digits}f} {prefix}{unit}", number)


def _of_features(with_boxes: bool) -> str:
    """What the plan of features for other data sets takes for granted."""
    persons = (
        f" Images of actions that are not packed yet are taken to show {feature_costs.PERSONS:.3g} "
        "persons each, in boxes that are twice as high as wide."
    )
    return (
        "Descriptors take two passes, of an image and of its mirror image, without the last layer."
        f"{persons if with_boxes else ''} Classifiers, and reading what is said of their examples, "
        "are planned in hours of one core, at rates measured once: "
        f"{feature_costs.CORE_FLOP / 1e9:.3g} GFLOP/s, for the inner products of all pairs of "
        f"examples and, at each C, {feature_costs.PRODUCTS} products of these with the vectors of "
        "all classes."
    )


def _sizes(given: dict) -> str:
    """The pixels that images are taken to have: most, then those of data sets that differ."""
    usual = f"{given['typical_width']}×{given['typical_height']}"
    others: dict[str, list[str]] = {}
    for split in given["splits"]:
        size = f"{split['typical_width']}×{split['typical_height']}"
        others.setdefault(size, []).append(split["split"])
    others.pop(usual, None)
    apart = [f", those of {' and '.join(names)} of {size}" for size, names in others.items()]
    return f"{usual} pixels{''.join(apart)}"


def _of_split(split: dict) -> str:
    images = "an unknown number" if split["images"] is None else f"{split['images']:,}"
    return f"{split['split']} {images}{', as packed' if split['packed'] else ''}"


def _least_time(device_hours: float, chain: float) -> str:
    """How long the work takes at least on 1, 2, 4, … devices, until the longest chain decides."""
    devices, parts = 1, []
    while device_hours / devices > chain:
        parts.append(f"{duration(3600 * device_hours / devices)} on {devices}")
        devices *= 2
    longest = f"on {devices} or more devices {duration(3600 * chain)}, its longest chain of jobs"
    return f"The whole takes at least {', '.join([*parts, longest])}."


def aligned(table: Table) -> str:
    """A table with its columns aligned: words to the left, numbers to the right."""
    lines = [table.headings, *([cell.text for cell in row] for row in table.rows)]
    lines += [[cell.text for cell in table.last]] if table.last else []
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]

    def line_of(texts: Sequence[str]) -> str:
        cells = zip(texts, widths, table.numeric, strict=True)
        return "  ".join(t.rjust(w) if right else t.ljust(w) for t, w, right in cells).rstrip()

    return "\n".join([table.title, *map(line_of, lines)])
