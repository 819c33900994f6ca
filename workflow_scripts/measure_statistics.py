"""Measure the mean and covariance of RGB over the training set's pixels (paper §2.1, §3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.core.progress import Progress
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data import images
from workflow_scripts.vgg.data.shards import Shards


def pixel_sums(pixels: np.ndarray) -> tuple[int, list[int], list[int]]:
    """Number of pixels, sums [3] and sums of products [9] of uint8 [height, width, 3]; exact."""
    values = pixels.reshape(-1, 3).astype(np.float64)
    products = values.T @ values  # integers below 2^53 for images of up to 10^11 pixels
    return len(values), values.sum(0).astype(int).tolist(), products.ravel().astype(int).tolist()


def measure_statistics(shards: Shards, threads: int) -> dict:
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


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--shards", nargs="+", required=True, help="shards of the training set")
    parser.add_argument("--threads", type=int, default=1, help="images decoded side by side")
    parser.add_argument("--output", required=True, help="statistics.json to write")
    options = parser.parse_args(arguments)
    shards = Shards(options.shards)
    with costs.working_on(len(shards)):
        statistics = measure_statistics(shards, options.threads)
    write_json(options.output, statistics)


if __name__ == "__main__":
    command.run(main)
