"""What a plan takes for granted: a configuration's images, nets and sustained rates.

No data are read, but where a split is packed already, its own number and sizes of images are taken.
Unknown numbers are None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..core.parquet import rows_of
from ..data.sampling import HELD_OUT_SHARE
from ..data.shards import Shards
from ..nets.convnets import Architecture, ConvNet
from ..settings.experiments import Evaluation, scale_name
from ..settings.localised_rows import BoxEvaluation
from .arithmetic import built
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
        model, images = self.models[evaluation.model], self.images(split)
        flop = None if images is None else images * flop_per_image
        hours = None if flop is None else self.hours("evaluate", flop)
        return Job(
            rule=rule,
            name=pass_name(split, evaluation),
            after=[("pack_shard", split), *self.weights(evaluation.model)],
            model=evaluation.model,
            net=model["net"],
            S=scale_name(model["S"]),
            split=split,
            method=evaluation.method,
            Q=evaluation.Q,
            images=images,
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

    def net_of(self, model: str) -> ConvNet:
        """A model's net."""
        entry, rounding = self.models[model], self.config["choices"]["pool_rounding"]
        return self.net(entry["net"], head=entry.get("head", "classes"), pool_rounding=rounding)

    def net(self, name: str, **more) -> ConvNet:
        """A ConvNet in this configuration's widths, on the meta device."""
        classes, convnet = self.config["data"]["classes"], self.config["convnet"]
        return built(Architecture(self.convnets[name], classes, **convnet, **more))

    @property
    def imported(self) -> set[str]:
        """The models whose weights are read from files."""
        return set(self.config["weights"]["import"])

    @property
    def typical_size(self) -> tuple[int, int]:
        """Height and width that are assumed of images that are not packed yet."""
        return typical_size(self.config)

    @cached_property
    def sizes(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Heights and widths, int32 [images], of the splits to evaluate that are packed."""
        found = {}
        for split in ("val", "test"):
            number = self.config["data"]["shards"][split]
            paths = [self.results / f"shards/{split}/{n:05d}.arrow" for n in range(number)]
            if all(path.exists() for path in paths):
                shards = Shards(paths)
                found[split] = shards.heights, shards.widths
        return found

    def images(self, split: str) -> int | None:
        """A split's number of images: as packed, as configured, or as indexed."""
        if split in self.sizes:
            return len(self.sizes[split][0])
        index = self.results / f"index/{split}.parquet"
        if self.config["data"]["images"][split] is None and index.exists():
            return rows_of(index)
        return self.config["data"]["images"][split]

    def sizes_of(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Heights and widths of a split's images, or of one that stands for all, int [images]."""
        height, width = self.sizes.get(split, self.typical_size)
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
        if data["source"] in ("miniature", "archives") and archive.is_file():
            return archive.stat().st_size
        return images and images * packed_image(split, *self.typical_size)[1]
