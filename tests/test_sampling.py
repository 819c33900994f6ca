"""The batch sequence is a pure function of (seed, iteration)."""

import numpy as np
import pytest
import torch

from workflow_scripts.vgg.dropout import SequencedDropout, seek_dropout
from workflow_scripts.vgg.loader import TrainingImages
from workflow_scripts.vgg.sampling import batch_at, colour_axes

AXES = np.diag([60.0, 20.0, 5.0])


def batch(iteration, seed=5, size=32, images=50, scales=(256, 512)):
    return batch_at(seed, iteration, size, images, scales, AXES)


def test_each_epoch_visits_every_image_once_and_batches_wrap():
    places = np.concatenate([batch(i).images for i in range(25)])  # 800 places, 16 epochs of 50
    for epoch in range(16):
        assert sorted(places[epoch * 50 : (epoch + 1) * 50]) == list(range(50))
    assert len({tuple(places[e * 50 : (e + 1) * 50]) for e in range(16)}) == 16


def test_a_batch_is_the_same_whenever_it_is_asked_for():
    later = batch(7)
    for iteration in (3, 7, 1):
        again = batch(iteration)
    again = batch(7)
    for name in ("images", "scales", "tops", "lefts", "flips", "shifts"):
        assert np.array_equal(getattr(later, name), getattr(again, name))
        assert not np.array_equal(getattr(later, name), getattr(batch(8), name)), name
        assert not np.array_equal(getattr(later, name), getattr(batch(7, seed=6), name)), name


def test_draws_have_the_papers_distributions():
    many = batch(0, size=200_000, images=200_000)
    assert (many.scales.min(), many.scales.max()) == (256, 512), "both ends included"
    counts = np.bincount(many.scales - 256)
    assert len(counts) == 257
    assert counts.min() > 0.8 * counts.mean()
    assert counts.max() < 1.2 * counts.mean()
    assert many.flips.mean() == pytest.approx(0.5, abs=0.01)
    assert np.abs(np.quantile(many.tops, [0.25, 0.5, 0.75]) - [0.25, 0.5, 0.75]).max() < 0.01
    np.testing.assert_allclose(np.cov(many.shifts.T), (0.1 * AXES) ** 2, atol=0.5)
    assert abs(np.corrcoef(many.tops, many.lefts)[0, 1]) < 0.01


def test_a_fixed_s_is_always_that_s():
    assert set(batch(0, scales=(384, 384)).scales) == {384}


def test_colour_axes_are_numpys_principal_axes():
    values = np.random.default_rng(0).normal(size=(10_000, 3)) @ [
        [50, 40, 35],
        [0, 12, 6],
        [0, 0, 4],
    ]
    covariance = np.cov(values.T, bias=True)
    eigenvalues, vectors = np.linalg.eigh(covariance)
    statistics = {
        "eigenvectors": vectors.T[::-1].tolist(),
        "eigenvalues": eigenvalues[::-1].tolist(),
    }
    axes = colour_axes(statistics, "pca-root-eigenvalues")
    # The sum of the axes' outer products is the covariance: shifts have a tenth of its spread.
    np.testing.assert_allclose(axes.T @ axes, covariance)
    literal = colour_axes(statistics, "pca-eigenvalues")
    np.testing.assert_allclose(np.linalg.norm(literal, axis=1), eigenvalues[::-1])
    assert not colour_axes(statistics, "none").any()


@pytest.fixture
def training_images(shard_paths):
    return TrainingImages(shard_paths("train"), 5, 16, 64, (256, 512), AXES)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_batches_do_not_depend_on_the_number_of_workers(training_images, workers):
    alone = list(training_images.batches(3, 9, workers=0, pin_memory=False))
    shared = list(training_images.batches(3, 9, workers=workers, pin_memory=False))
    assert len(alone) == len(shared) == 6
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.shifts, other.shifts)


def test_a_process_that_takes_some_rows_sees_those_of_the_whole_batch(shard_paths, training_images):
    whole = training_images[4]
    for rows in (slice(0, 8), slice(8, 16), slice(1, 16, 2)):
        part = TrainingImages(shard_paths("train"), 5, 16, 64, (256, 512), AXES, rows=rows)[4]
        assert torch.equal(part.images, whole.images[rows])
        assert torch.equal(part.labels, whole.labels[rows])
        assert torch.equal(part.shifts, whole.shifts[rows])


def test_flipped_samples_are_mirror_images(shard_paths, monkeypatch):
    from workflow_scripts.vgg import loader

    def with_flips(flips):
        def batch(*arguments):
            drawn = batch_at(*arguments)
            drawn.flips[:] = flips
            return drawn

        monkeypatch.setattr(loader, "batch_at", batch)
        return TrainingImages(shard_paths("train"), 5, 16, 64, (256, 256), AXES)[0].images

    assert torch.equal(with_flips(True), with_flips(False).flip(3))


def test_dropout_masks_depend_on_iteration_and_place_only():
    layer = torch.nn.Sequential(SequencedDropout(0.5), SequencedDropout(0.5))
    x = torch.ones(8, 1000)

    def mask(iteration, rows=None, seed=1):
        seek_dropout(layer, seed, iteration, rows, 8)
        return layer[0](x if rows is None else x[rows])

    whole = mask(3)
    assert whole.unique().tolist() == [0.0, 2.0]
    assert (whole == 0).float().mean().item() == pytest.approx(0.5, abs=0.02)
    halves = torch.cat([mask(3, slice(0, 4)), mask(3, slice(4, 8))])
    assert torch.equal(whole, halves)
    assert not torch.equal(whole, mask(4))
    assert not torch.equal(whole, mask(3, seed=2))
    seek_dropout(layer, 1, 3, None, 8)
    assert not torch.equal(layer[0](x), layer[1](x)), "the two layers draw different masks"
    assert torch.equal(layer.eval()(x), x)
