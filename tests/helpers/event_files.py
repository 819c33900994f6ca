"""TensorBoard's event files as its own reader sees them, and as one that forgets nothing does."""

from collections import defaultdict
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util


def accumulator(folder: Path) -> EventAccumulator:
    """TensorBoard's reader, keeping all steps; `Reload` reads what is new."""
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})


def seen(reader: EventAccumulator) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of each scalar, in the reader's order."""
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)]
        for tag in reader.Tags()["scalars"]
    }


def written(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of each scalar in all event files of a folder, whatever says to forget them."""
    found = defaultdict(list)
    for path in sorted(folder.glob("*tfevents*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    number = tensor_util.make_ndarray(value.tensor).item()
                    found[value.tag].append((event.step, number))
    return dict(found)
