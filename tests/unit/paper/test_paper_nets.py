"""§2: preprocessing, nets and receptive fields."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.checks import recompute_cells
from tests.helpers.paper_nets import CONVNETS, as_input, picture, small
from workflow_scripts.vgg.data.pixel_statistics import pixel_statistics
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.nets.devices import to_input


def test_s2_1_preprocessing_is_the_training_sets_mean_rgb_subtracted_from_each_pixel(
    pictures, paths
):
    """The only preprocessing is to subtract the mean RGB of the training set from each pixel."""
    statistics = pixel_statistics(Shards(paths), threads=1)
    mean = torch.tensor(statistics["mean_rgb"], dtype=torch.float64)
    inputs = [to_input(torch.tensor(p).permute(2, 0, 1)[None], mean, 1.0) for p in pictures]
    pixels = torch.cat([x.flatten(2) for x in inputs], dim=2)[0]
    assert pixels.mean(1).abs().max() < 1e-9
    raw = np.concatenate([p.reshape(-1, 3) for p in pictures]).T
    np.testing.assert_allclose(pixels.diff(dim=1), np.diff(raw.astype(float)), atol=1e-9)


@torch.inference_mode()
@pytest.mark.parametrize("name", ["A-LRN", "C", "B-5x5"])
def test_s2_1_nets_that_torchvision_lacks_are_their_layers_written_out(name):
    """Convs of stride 1 that keep the size, a ReLU behind every hidden layer, five max-pools of 2×2
    with stride 2, three FC layers; A-LRN normalises the first conv layer's rectified responses."""
    net, tensors = small(CONVNETS[name])
    x = as_input(picture(64, 64))
    expected = recompute_cells.fc_scores(
        tensors, recompute_cells.feature_map(tensors, CONVNETS[name], x)
    )
    torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-4 * expected.abs().max())


def receptive_fields(name):
    """Side of what one place sees of the input of its block, for each block of a net."""
    sides, side = [], 1
    for module in small(CONVNETS[name])[0].features:
        if isinstance(module, nn.Conv2d):
            side += module.kernel_size[0] - 1
        elif isinstance(module, nn.MaxPool2d):
            sides.append(side)
            side = 1
    return sides


def test_s2_3_stacks_of_3x3_convs_see_as_much_as_5x5_and_7x7():
    """Two 3×3 convs see 5×5 pixels and three see 7×7; so B-5x5 sees what B sees (§4.1)."""
    assert receptive_fields("B") == receptive_fields("B-5x5") == [5] * 5
    assert receptive_fields("D") == [5, 5, 7, 7, 7]
