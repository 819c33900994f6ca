"""§3.2 and §4: dense evaluation, multi-crop, and errors of means."""

import numpy as np
import pytest
import torch
import yaml
from PIL import Image, ImageOps

from tests.checks import recompute_cells
from tests.helpers.clones import ROOT
from tests.helpers.evaluations import posteriors_of
from tests.helpers.paper_nets import CONVNETS, INPUT, as_input, picture, small, store
from workflow_scripts.vgg.evaluation import methods
from workflow_scripts.vgg.evaluation.posteriors import outcomes, write_posteriors
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.settings import experiments

TABLES = yaml.safe_load((ROOT / "config/tables.yaml").read_text())


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def full_size(name, pool_rounding):
    """A net of the paper's size with weights of no special kind."""
    with torch.device("meta"):
        architecture = Architecture(CONVNETS[name], pool_rounding=pool_rounding)
        net = ConvNet(architecture, dropout=0.0)
    net.to_empty(device="cpu")
    for number, parameter in enumerate(net.parameters()):
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 1.0
        generator = torch.Generator().manual_seed(number)
        parameter.uniform_(-1, 1, generator=generator).mul_((6 / fan_in) ** 0.5)
    return net.eval().to(memory_format=torch.channels_last)


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize(
    ("name", "size", "Q", "pool_rounding", "rescaled", "windows"),
    [
        ("D", (224, 224), 224, "floor", (224, 224), (1, 1)),
        ("D", (375, 500), 256, "floor", (256, 341), (2, 4)),
        ("D", (375, 500), 256, "ceil", (256, 341), (2, 5)),
        ("D", (500, 375), 256, "floor", (341, 256), (4, 2)),
        ("D", (375, 500), 384, "floor", (384, 512), (6, 10)),
        ("E", (500, 375), 256, "ceil", (341, 256), (5, 2)),
        ("E", (375, 500), 256, "floor", (256, 341), (2, 4)),
    ],
)
def test_s3_2_dense_evaluation_slides_the_fc_layers_over_the_whole_image(
    name, size, Q, pool_rounding, rescaled, windows, tmp_path, two_threads
):
    """The FC layers become conv layers, 7×7 and 1×1, and run over the whole uncropped image; the
    class score map is averaged over its places, and the soft-max posteriors of the image and its
    mirror image are averaged. At full size, from pixels to posteriors."""
    net = full_size(name, pool_rounding)
    tensors, layers = net.state_dict(), net.architecture.layers
    pixels = picture(*size, seed=3)
    image = Image.fromarray(pixels).resize(rescaled[::-1], Image.Resampling.BICUBIC)
    x = as_input(image)
    maps = [
        recompute_cells.window_scores(tensors, layers, view, 7, pool_rounding)
        for view in (x, x.flip(3))
    ]
    found = methods.DenseConvNet(net)(x)
    assert found.shape == (1, 1000, *windows)
    spread = maps[0].std()
    torch.testing.assert_close(
        found[0].permute(1, 2, 0), maps[0], rtol=0, atol=1e-4 * spread.item()
    )
    if windows == (1, 1):
        torch.testing.assert_close(found[:, :, 0, 0], net(x), rtol=0, atol=1e-4 * spread.item())
    else:
        assert maps[0].std((0, 1)).mean() > 0.05 * spread, "the places must differ"

    expected = sum(scores.mean((0, 1)).softmax(0) for scores in maps) / 2
    posteriors = posteriors_of(
        net, store(tmp_path, [pixels]), method="dense", smallest_side=Q, **INPUT
    )
    torch.testing.assert_close(torch.tensor(posteriors[0]), expected, rtol=1e-3, atol=1e-6)


@torch.inference_mode()
def test_s3_2_without_padding_dense_evaluation_is_the_net_run_on_crops_32_pixels_apart():
    """Dense evaluation is the whole net applied at every place. Crops of the image differ from it
    at their borders, which padding fills with 0 instead of the image; 1×1 convs have none."""
    layers = "conv1-64 | conv1-128 | conv1-256 | conv1-512 | conv1-512"
    net, tensors = small(layers, crop=224)
    x = as_input(picture(300, 430))
    found = methods.DenseConvNet(net)(x)
    assert found.shape[2:] == (3, 7)
    for row in range(3):
        for column in range(7):
            top, left = 32 * row, 32 * column
            crop = x[:, :, top : top + 224, left : left + 224]
            last = recompute_cells.feature_map(tensors, layers, crop)
            expected = recompute_cells.fc_scores(tensors, last)
            torch.testing.assert_close(
                found[:, :, row, column], expected, rtol=1e-4, atol=1e-4 * expected.abs().max()
            )


@pytest.mark.slow
@torch.inference_mode()
def test_s3_2_multicrop_is_the_mean_of_150_crops_over_three_scales(tmp_path):
    """A regular 5×5 grid and 2 flips make 50 crops a scale, 150 over three scales; their soft-max
    posteriors are averaged."""
    net, tensors = small(CONVNETS["B"], crop=224, width_divisor=32)
    pixels = picture(375, 500, seed=6)
    paths = store(tmp_path, [pixels])
    found = np.mean(
        [
            posteriors_of(net, paths, method="multicrop", smallest_side=Q, **INPUT)[0]
            for Q in (256, 384, 512)
        ],
        axis=0,
    )
    crops = []
    for width, height in ((341, 256), (512, 384), (683, 512)):
        image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
        for top in np.round(np.linspace(0, height - 224, 5)).astype(int).tolist():
            for left in np.round(np.linspace(0, width - 224, 5)).astype(int).tolist():
                crop = image.crop((left, top, left + 224, top + 224))
                crops += [crop, ImageOps.mirror(crop)]
    assert len(crops) == 150
    total = 0
    for crop in crops:
        last = recompute_cells.feature_map(tensors, CONVNETS["B"], as_input(crop))
        total = total + recompute_cells.fc_scores(tensors, last).softmax(1)[0]
    torch.testing.assert_close(torch.tensor(found), total / 150, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        # Table 4: one net, dense, three Q (§4.2).
        ("table4/E_S384", [("E_S384", "dense", [352, 384, 416])]),
        # Table 5: multi-crop and dense of one net, three Q each (§4.3).
        (
            "table5/D_both",
            [
                ("D_S256-512", "multicrop", [256, 384, 512]),
                ("D_S256-512", "dense", [256, 384, 512]),
            ],
        ),
        # Table 6: the ILSVRC submission's seven nets at three Q each, then D and E (§4.4).
        (
            "table6/ilsvrc_submission",
            [
                ("D_S256", "dense", [224, 256, 288]),
                ("D_S384", "dense", [352, 384, 416]),
                ("D_S256-512_fc", "dense", [256, 384, 512]),
                ("C_S256", "dense", [224, 256, 288]),
                ("C_S384", "dense", [352, 384, 416]),
                ("E_S256", "dense", [224, 256, 288]),
                ("E_S384", "dense", [352, 384, 416]),
            ],
        ),
        (
            "table6/D_E_dense",
            [("D_S256-512", "dense", [256, 384, 512]), ("E_S256-512", "dense", [256, 384, 512])],
        ),
    ],
)
def test_s4_errors_are_of_means_over_scales_then_methods_then_nets(row, parts, tmp_path):
    """Posteriors are averaged over Q, over multi-crop and dense, and over nets. The top-1 error is
    the share of images whose best class is wrong; the top-5 error, of those whose class is not
    among the five best."""
    rng = np.random.default_rng(7)
    labels = rng.integers(12, size=300)
    ids = [f"{n:03d}" for n in range(300)]
    drawn = {}
    for model, method, scales in parts:
        for Q in scales:
            drawn[model, method, Q] = rng.dirichlet(np.full(12, 0.3), 300).astype(np.float32)
            path = tmp_path / f"posteriors/val/{model}/{method}_Q{Q}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_posteriors(path, ids, labels, drawn[model, method, Q], {})
    entries = experiments.find_row(row, TABLES)["evaluations"]
    own = [each.path(tmp_path, "val") for each in experiments.evaluations(entries)]
    assert len(set(own)) == len(own) == len(drawn)
    found = outcomes(own)

    for image, label in enumerate(labels):
        of_parts = []
        for model, method, scales in parts:
            vectors = [drawn[model, method, Q][image].astype(float) for Q in scales]
            of_parts.append(sum(vectors) / len(vectors))
        mean = sum(of_parts) / len(of_parts)
        best = sorted(range(12), key=lambda c: -mean[c])[:5]
        assert found.top1[image] == (best[0] != label)
        assert found.top5[image] == (label not in best)
