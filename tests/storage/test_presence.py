"""A file that is open is not the one under its name when that was deleted or replaced."""

import pytest

from actors.storage.ports import ImageRecord, StorageInDoubt, StorageUnavailable
from actors.storage.presence import Presence
from actors.storage.sqlite import SqliteCatalogue
from tests.conftest import NOON
from tests.storage.catalogues import Each, new_image, new_job


@pytest.fixture
def paths(tmp_path):
    found = [tmp_path / "a", tmp_path / "b"]
    for path in found:
        path.touch()
    return found


def test_what_is_where_it_was_is_not_lost(paths):
    presence = Presence(paths)

    paths[0].write_bytes(b"more")

    assert presence.lost() is None


def test_what_was_deleted_replaced_or_moved_away_is_lost_until_it_is_back(paths, tmp_path):
    presence = Presence(paths)

    paths[1].rename(tmp_path / "c")
    assert presence.lost() == str(paths[1])
    paths[1].touch()
    assert presence.lost() == str(paths[1])
    (tmp_path / "c").replace(paths[1])
    assert presence.lost() is None


def test_a_catalogue_that_is_deleted_in_the_middle_of_a_batch_is_in_doubt(tmp_path):
    path = tmp_path / "jobs.db"
    catalogue = SqliteCatalogue(path)

    def delete_and_add(it):
        path.rename(tmp_path / "away")
        return it.add(new_job("a"), NOON)

    with pytest.raises(StorageInDoubt, match="deleted or replaced"):
        catalogue.batch([delete_and_add])
    with pytest.raises(StorageUnavailable, match="deleted or replaced"):
        Each(catalogue).find("a")
    (tmp_path / "away").rename(path)

    # It was kept after all, since it has come back.
    assert Each(catalogue).find("a").status == "pending"
    assert isinstance(Each(catalogue).add_image(new_image("b"), NOON), ImageRecord)
    catalogue.close()
