"""Every catalogue, for the tests that each must pass."""

import pytest

from tests.storage.catalogues import CATALOGUES, Each


@pytest.fixture(params=CATALOGUES)
def catalogue(request, tmp_path):
    """A new catalogue of each kind."""
    opened = CATALOGUES[request.param](tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def each(catalogue):
    """The same, with a transaction of its own for each call."""
    return Each(catalogue)
