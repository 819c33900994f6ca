"""Print how far each training of a run is: iteration, rate, loss, errors, speed, time left, place.

It reads the files that trainings leave and asks none of them, so it may be called at any time, also
while Slurm runs them. Iterations and times left are at most: a plateau may end a training sooner.
`snakemake status` does the same for the configuration that it is given.

Example:

    python -m workflow_scripts.status --watch 10
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import yaml
from snakemake.utils import update_config

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.progress import duration
from workflow_scripts.vgg.planning.training_states import TrainingState, training_states
from workflow_scripts.vgg.settings.experiments import read_yaml
from workflow_scripts.vgg.settings.run import Run, read_run
from workflow_scripts.vgg.training.signs import PRESENT

DEFAULT = "config/config.yaml"  # as the Snakefile has it
HEADINGS = (
    *("training", "state", "iteration", "rate", "loss", "top-1/top-5"),
    *("img/s", "time left"),
)
WORDS = 2  # columns of words, set to the left
AT_MOST = "Iterations and time left are at most: a plateau may end a training sooner."
WIDTH = 100  # of a terminal
INDENT = " " * 4
DAY = 86400  # seconds


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--configfile", nargs="+", default=[], help=f"as Snakemake takes it: laid over {DEFAULT}"
    )
    parser.add_argument(
        "--config", nargs="+", default=[], metavar="KEY=VALUE", help="as Snakemake takes it"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with all that is known")
    parser.add_argument(
        "--watch", type=float, default=0, metavar="SECONDS", help="print again so often; 0: once"
    )
    given = parser.parse_args(arguments)
    if not 0 <= given.watch <= DAY:
        parser.error(f"--watch {given.watch:g}: expected seconds, from 0 (once) to {DAY} (a day)")
    run = configured(given.configfile, given.config)
    while True:
        now = time.time()
        states = training_states(run, now)
        if given.json:
            shown = json.dumps(as_json(run, states, now), indent=1, ensure_ascii=False)
        else:
            shown = as_text(run.config["experiment"], states)
        clear = "\033[H\033[2J" if given.watch and sys.stdout.isatty() else ""
        if not is_read(f"{clear}{shown}") or not given.watch:
            return
        time.sleep(given.watch)


def is_read(text: str) -> bool:
    """Print a text; False if nobody reads any longer, as behind `| head`."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python writes what is left once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def configured(files: Sequence[str], entries: Sequence[str]) -> Run:
    """The run that Snakemake would make of its `--configfile` and `--config`."""
    named = [DEFAULT, *files]
    config: dict = {}
    given: dict = {}
    for file in named:
        content = read_yaml(file)
        if not isinstance(content, dict | None):
            raise InputError(f"{file}: expected keys and their values")
        update_config(config, content or {})
    for entry in entries:
        key, is_pair, value = entry.partition("=")
        if not is_pair:
            raise InputError(f"--config {entry}: expected KEY=VALUE")
        try:  # the text of values, as Snakemake reads it
            update_config(given, {key: yaml.load(value, Loader=yaml.BaseLoader)})
        except yaml.YAMLError:
            raise InputError(f"--config {entry}: the value is not YAML") from None
    update_config(config, given)
    return read_run(config, named, given)


def as_json(run: Run, states: Sequence[TrainingState], now: float) -> dict:
    """What is printed for programs."""
    return {
        "experiment": run.config["experiment"],
        "time": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "trainings": [asdict(state) for state in states],
    }


def as_text(experiment: str, states: Sequence[TrainingState]) -> str:
    """What is printed for people: a line a training, and one on its place or what it met with."""
    counts = Counter(state.state for state in states)
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    rows = {id(state): cells(state) for state in states if state.state != "waiting"}
    lines = [HEADINGS, *rows.values()]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    widths[0] = max(widths[0], *(len(state.training) for state in states), 0)

    def line_of(texts: Sequence[str]) -> str:
        pairs = enumerate(zip(texts, widths, strict=True))
        aligned = (t.ljust(w) if place < WORDS else t.rjust(w) for place, (t, w) in pairs)
        return "  ".join(aligned).rstrip()

    heading = f"{experiment}: {len(states)} trainings{': ' if told else ''}{told}"
    shown = [*textwrap.wrap(heading, WIDTH), ""]
    shown += [line_of(HEADINGS)] if rows else []
    for state in states:
        if id(state) in rows:
            shown.append(line_of(rows[id(state)]))
        else:
            waits = f"waiting for {state.waits_for}" if state.waits_for else "not begun"
            shown.append(f"{state.training.ljust(widths[0])}  {waits}")
        for detail in details(state):
            shown += textwrap.wrap(
                detail, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT,
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
    if any(state.state in PRESENT for state in states):
        shown += ["", AT_MOST]
    return "\n".join(shown)


def cells(state: TrainingState) -> list[str]:
    """The cells of a training that has begun."""
    measured = (state.top1, state.top5) if state.gtloc is None else (state.gtloc,)
    rate = state.images_per_second
    return [
        state.training,
        f"{state.state}?" if state.state in ("killed", "silent") else state.state,
        f"{state.iteration:,}/{state.iterations:,}" if state.iteration is not None else "",
        written(state.learning_rate, ".2g"),
        written(state.loss, ".3f"),
        "/".join(written(error, ".1f") for error in measured if error is not None),
        written(rate, ",.0f" if rate and rate >= 10 else ".2g"),
        duration(state.seconds_left)
        if state.state in PRESENT and state.seconds_left is not None
        else "",
    ]


def written(value: float | None, form: str) -> str:
    """A number in a form; nothing if there is none."""
    return "" if value is None else format(value, form)


def details(state: TrainingState) -> list[str]:
    """What the cells have no room for, as lines."""
    age = "" if state.age is None else duration(state.age)
    match state.state:
        case "training" | "silent" if state.node is None:
            return [f"no signs of it; its newest checkpoint is of {age} ago"]
        case "finished" if state.finished:
            ended = datetime.fromisoformat(state.finished).astimezone()
            took = f", took {duration(state.took)}" if state.took is not None else ""
            return [f"{ended:%Y-%m-%d %H:%M:%S}{took}{place(state)}"]
        case "starting" | "training" | "validating":
            since = f", errors at iteration {state.validated:,}" if state.validated else ""
            return [f"{place(state)}{since}".removeprefix(", ")]
        case "silent":
            return [f"no sign for {age}, last{place(state)}".replace("last,", "last")]
        case "killed":
            return [f"its process is gone, without a word for {age}{place(state)}"]
        case "stopped":
            return [f"at a checkpoint, {age} ago{place(state)}; the same command goes on from it"]
        case "failed":
            return [state.message or "", *([f"see {state.log}"] if state.log else [])]
    return []


def place(state: TrainingState) -> str:
    """Where a training runs, or ran, as a part of a sentence."""
    if state.node is None:
        return ""
    several = f" × {state.processes}" if state.processes and state.processes > 1 else ""
    parts = [f", on {state.node}"]
    parts += [f" ({state.device}{several})"] if state.device else []
    parts += [f", Slurm job {state.slurm_job_id}"] if state.slurm_job_id else []
    parts += [f", attempt {state.attempts}"] if state.attempts and state.attempts > 1 else []
    return "".join(parts)


if __name__ == "__main__":
    command.run(main)
