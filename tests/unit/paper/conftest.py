"""The paper's protocol, sentence by sentence, against computations that share no code with ours.

The files follow the paper's sections. docs/paper_to_code.md lists the sentences with these tests
and those of other files. What the nets are compared with, torch.nn.functional calls on the tensors
of a state dict, is in recompute_cells.py.
"""

import pytest

from tests.helpers.paper_nets import picture, store


@pytest.fixture(scope="session")
def pictures():
    """Ten small pictures of several sizes."""
    return [picture(90 + 7 * n, 150 - 6 * n, seed=n) for n in range(10)]


@pytest.fixture(scope="session")
def paths(pictures, tmp_path_factory):
    """A shard of them."""
    return store(tmp_path_factory.mktemp("pictures"), pictures)
