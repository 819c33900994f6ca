"""The small data set in each form, and each form's classes and indexes."""

import pytest

from tests.helpers.forms import IMAGES, WRITERS, read_archives
from tests.helpers.source_commands import SOURCES, index_of, list_of_classes


@pytest.fixture(scope="session")
def forms(archives, tmp_path_factory):
    """{source: folder} with the archives' images in each form."""
    folder = tmp_path_factory.mktemp("forms")
    splits, words = read_archives(archives)
    for source, write in WRITERS.items():
        write(folder / source, splits, words)
    return {source: folder / source for source in SOURCES}


@pytest.fixture(scope="session")
def made(forms, tmp_path_factory):
    """`made(source)`: a folder with that source's classes and indexes."""
    done = {}

    def make(source):
        if source not in done:
            done[source] = tmp_path_factory.mktemp(source)
            list_of_classes(source, forms[source], done[source] / "classes.parquet")
            for split in IMAGES:
                index_of(source, forms[source], split, done[source])
        return done[source]

    return make
