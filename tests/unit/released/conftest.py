"""Images to compare logits on, and one weights file of each source."""

from __future__ import annotations

import pytest
import torch

from tests.helpers.released_files import one_of_each
from tests.helpers.released_nets import CROP, seeded


@pytest.fixture(scope="session")
def images():
    """Three images of coloured squares, uint8 [3, height, width, 3]; noise would look all alike."""
    squares = torch.randint(0, 256, (3, 4, 4, 3), generator=seeded(5)).to(torch.uint8)
    return squares.repeat_interleave(CROP // 4, 1).repeat_interleave(CROP // 4, 2)


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    return one_of_each(tmp_path_factory.mktemp("files"))
