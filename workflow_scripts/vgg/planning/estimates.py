"""What a plan takes for granted: a configuration's images, nets and sustained rates.

No data are read, but where a split or another data set is packed already, its own number and sizes
of images are taken. Unknown numbers are None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ..core.parquet import rows_of
from ..core.text_artefacts import read_json
from ..data.examples import read_examples
from ..data.sampling import HELD_OUT_SHARE
from ..data.shards import Shards
from ..nets.convnets import Architecture, ConvNet
from ..nets.library_nets import Classifier
from ..settings.class_subsets import DRAWN_CLASSES, is_subset, number_of_classes
from ..settings.experiments import Evaluation, scale_name
from ..settings.localised_rows import BoxEvaluation
from ..settings.net_uses import is_library_net
from ..transfer.regions import BoxReading, regions_of
from . import feature_costs
from .arithmetic import built, built_of_library
from .jobs import Job, Key
from .packing_costs import packed_image, typical_size

FLOAT = 4  # bytes


def pass_name(split: str, evaluation: Evaluation | BoxEvaluation) -> str:
    """The name of the job that evaluates a split, or boxes it."""
    return f"{split}_{evaluation.model}_{evaluation.method}_Q{evaluation.Q}"


@dataclass(frozen=True)
class Estimates:
    """Of one configuration.

    config: resolved. convnets, models: of models.yaml. results: the experiment's folder.
    """

    config: dict
    convnets: Mapping[str, str]
    models: Mapping[str, dict]
    results: Path

    def passing(
        self,
        rule: str,
        split: str,
        evaluation: Evaluation | BoxEvaluation,
        flop_per_image: float,
        bytes_per_image: float,
    ) -> Job:
        """A pass over a split's images, whatever is kept of it."""
        return self.pass_of(
            Job(
                rule=rule,
                name=pass_name(split, evaluation),
                after=[("pack_shard", split), *self.weights(evaluation.model)],
                split=split,
                method=evaluation.method,
                Q=evaluation.Q,
                images=self.images(split),
            ),
            evaluation.model,
            flop_per_image,
            bytes_per_image,
        )

    def pass_of(self, job: Job, model: str, flop_per_image: float, bytes_per_image: float) -> Job:
        """The job with what its images cost in a pass through a model's net."""
        entry, images = self.models[model], job.images
        flop = None if images is None else images * flop_per_image
        hours = None if flop is None else self.hours("evaluate", flop)
        return replace(
            job,
            model=model,
            net=entry["net"],
            S=scale_name(entry["S"]) if "S" in entry else None,
            flop_per_image=flop_per_image,
            flop=flop,
            hours=hours,
            wall_hours=hours,
            disk=images and images * bytes_per_image,
        )

    def weights(self, model: str | None) -> list[Key]:
        """The job that gives a model's weights."""
        rule = "import_weights" if model in self.imported else "train_convnet"
        return [] if model is None else [(rule, model)]

    def hours(self, stage: str, flop: float) -> float:
        """Hours of one device at the sustained rate that the configuration states for a stage."""
        return flop / self.config["plan"][f"{stage}_tflops"] / 1e12 / 3600

    def net_of(self, model: str) -> Classifier:
        """A model's net, which may be a library's."""
        net = self.models[model]["net"]
        return built_of_library(net) if is_library_net(net) else self.convnet_of(model)

    def convnet_of(self, model: str) -> ConvNet:
        """A model's ConvNet."""
        entry, rounding = self.models[model], self.config["choices"]["pool_rounding"]
        return self.net(entry["net"], head=entry.get("head", "classes"), pool_rounding=rounding)

    def net(self, name: str, **more) -> ConvNet:
        """A ConvNet in this configuration's widths, on the meta device."""
        return built(
            Architecture(self.convnets[name], self.classes, **self.config["convnet"], **more)
        )

    @property
    def classes(self) -> int:
        """The number of the run's classes."""
        return number_of_classes(self.config["data"]["classes"])

    @property
    def is_subset(self) -> bool:
        """Whether the run's classes are chosen among the data set's."""
        return is_subset(self.config["data"]["classes"])

    @property
    def imported(self) -> set[str]:
        """The models whose weights are read from files."""
        return set(self.config["weights"]["import"])

    @property
    def data_sets(self) -> dict[str, dict]:
        """The other data sets that the configuration has, by name."""
        known = self.config["transfer"]["data_sets"]
        return {name: entry for name, entry in known.items() if entry is not None}

    @property
    def typical_size(self) -> tuple[int, int]:
        """Height and width that are assumed of ILSVRC's images that are not packed yet."""
        return typical_size(self.config)

    def typical_size_of(self, split: str) -> tuple[int, int]:
        """The same of a split, or of another data set."""
        if split in self.data_sets:
            return feature_costs.typical_size(self.config, split)
        return self.typical_size

    @cached_property
    def sizes(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Heights and widths, int32 [images], of splits to evaluate, and data sets, if packed."""
        shards = self.config["data"]["shards"]
        numbers = {split: shards[split] for split in ("val", "test")}
        numbers |= {name: entry["shards"] for name, entry in self.data_sets.items()}
        found = {}
        for split, number in numbers.items():
            paths = [self.results / f"shards/{split}/{n:05d}.arrow" for n in range(number)]
            if all(path.exists() for path in paths):
                packed = Shards(paths)
                found[split] = packed.heights, packed.widths
        return found

    @cached_property
    def indexed(self) -> dict[str, dict]:
        """What was counted of other data sets that are indexed, by name."""
        paths = {name: self.results / f"examples/{name}.json" for name in self.data_sets}
        return {name: read_json(path) for name, path in paths.items() if path.exists()}

    @cached_property
    def persons(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Heights and widths, int64 [persons], of persons' boxes in data sets that are packed."""
        reading, found = BoxReading(self.config["choices"]["action_box"]), {}
        for name in self.indexed.keys() & self.sizes.keys():
            if self.data_sets[name]["kind"] != "actions":
                continue
            examples = read_examples(self.results / f"examples/{name}.parquet")
            sizes = np.stack(self.sizes[name][::-1], axis=1)
            if examples.boxes is not None and len(sizes) == len(examples.image_ids):
                edges = regions_of(examples.boxes, sizes[examples.images], reading)
                widths, heights = (edges[:, 2:] - edges[:, :2]).T
                found[name] = heights, widths
        return found

    def images(self, split: str) -> int | None:
        """Images of a split or another data set: as packed, as configured, or as indexed."""
        if split in self.sizes:
            return len(self.sizes[split][0])
        data = self.config["data"]
        stated = data["images"] | {n: e["images"] for n, e in self.data_sets.items()}
        if self.is_subset and data["source"] == "miniature":  # whose numbers are of all its classes
            share = self.classes / DRAWN_CLASSES
            stated |= {name: n and round(n * share) for name, n in data["images"].items()}
        index = self.results / f"index/{split}.parquet"
        if stated[split] is None and index.exists():
            return rows_of(index)
        return stated[split]

    def sizes_of(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Heights and widths of the images, or of one that stands for all, int [images]."""
        height, width = self.sizes.get(split, self.typical_size_of(split))
        return np.atleast_1d(height), np.atleast_1d(width)

    def box_sizes_of(self, data_set: str) -> tuple[np.ndarray, np.ndarray]:
        """The same of persons' boxes, int [persons]."""
        height, width = self.persons.get(data_set, feature_costs.SHAPE)
        return np.atleast_1d(height), np.atleast_1d(width)

    def validation_images(self) -> int | None:
        """The number of images that a training is validated on.

        Nets of boxes leave out those without boxes, and blacklisted ones, which are counted here.
        """
        if self.config["choices"]["validation_set"] == "reported":
            return self.images("val")
        return (images := self.images("train")) and max(1, round(HELD_OUT_SHARE * images))

    def source_bytes(self, split: str) -> float | None:
        """Bytes of a split's images as they came: of its archive if it is there, or by number."""
        data, images = self.config["data"], self.images(split)
        archive = Path(data["directory"], data["archives"][split] or "")
        archived = data["source"] in ("miniature", "archives") and not self.is_subset
        if archived and archive.is_file():
            return archive.stat().st_size
        return images and images * packed_image(split, *self.typical_size)[1]
