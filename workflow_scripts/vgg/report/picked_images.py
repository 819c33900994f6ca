"""Single images of a split, found by their names, as pages show them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core.files import InputError
from ..data.classes import ClassName
from ..data.images import decode
from ..data.shards import Shards
from .thumbnails import thumbnail


class PickedImages:
    """The images of a split's shards by name. classes: of the data set, by label."""

    def __init__(self, paths: Sequence[str | Path], classes: Sequence[ClassName]):
        self._shards, self._classes = Shards(paths), classes
        self._places = {name: place for place, name in enumerate(self._shards.ids())}

    def pixels(self, name: str) -> np.ndarray:
        """An image, uint8 [height, width, 3] RGB. Raises InputError if no shard has it."""
        if name not in self._places:
            raise InputError(
                f"image {name}: has posteriors but is in none of the shards; evaluate them anew"
            )
        return decode(self._shards.jpeg(self._places[name]), f"image {name}")

    def describe(self, name: str) -> dict:
        """`id`, `label`, `class` (its short name), `wnid`, and `image`, a small picture of it."""
        pixels = self.pixels(name)
        label = int(self._shards.labels[self._places[name]])
        of_class = self._classes[label]
        return {
            "id": name,
            "label": label,
            "class": of_class.name,
            "wnid": of_class.wnid,
            "image": thumbnail(pixels),
        }
