"""The mean and covariance of RGB over a training set's pixels (paper §2.1, §3.1)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..core.progress import Progress
from . import images
from .shards import Shards


def pixel_sums(pixels: np.ndarray) -> tuple[int, list[int], list[int]]:
    """Number of pixels, sums [3] and sums of products [9] of uint8 [height, width, 3]; exact."""
    values = pixels.reshape(-1, 3).astype(np.float64)
    products = values.T @ values  # integers below 2^53 for images of up to 10^11 pixels
    return len(values), values.sum(0).astype(int).tolist(), products.ravel().astype(int).tolist()


def pixel_statistics(shards: Shards, threads: int) -> dict:
    """Mean RGB and covariance in 0–255 units, with its eigenvectors and eigenvalues, largest first.

    `eigenvectors[i]` belongs to `eigenvalues[i]`. The sums are integers, so the result does not
    depend on the number of threads.
    """
    progress = Progress(len(shards), "images")
    count, sums, products = 0, [0] * 3, [0] * 9

    def of_image(index: int):
        return pixel_sums(images.decode(shards.jpeg(index), shards.id(index)))

    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(shards), 1024):
            chunk = range(start, min(start + 1024, len(shards)))
            for pixels, image_sums, image_products in pool.map(of_image, chunk):
                count += pixels
                sums = [a + b for a, b in zip(sums, image_sums, strict=True)]
                products = [a + b for a, b in zip(products, image_products, strict=True)]
            progress.update(len(chunk))
    # Exact integers until here: n·Σxy − Σx·Σy loses nothing to cancellation.
    covariance = [
        (count * products[3 * i + j] - sums[i] * sums[j]) / count**2
        for i in range(3)
        for j in range(3)
    ]
    values, vectors = np.linalg.eigh(np.array(covariance).reshape(3, 3))
    return {
        "mean_rgb": [total / count for total in sums],
        "covariance_rgb": np.array(covariance).reshape(3, 3).tolist(),
        "eigenvectors": vectors.T[::-1].tolist(),
        "eigenvalues": values[::-1].tolist(),
        "images": len(shards),
        "pixels": count,
    }
