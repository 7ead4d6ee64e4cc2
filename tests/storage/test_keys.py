"""Names of files: each tells whose it is, and no other's name passes for one."""

import pytest

from actors.storage.keys import key_of, owner_of

JOB = "3f2a0000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("attempt", [None, 12])
def test_a_key_tells_its_owner(attempt):
    assert owner_of(key_of(JOB, ".jpg", attempt)) == JOB


def test_a_key_is_fanned_out_by_the_first_digits_of_its_owner():
    assert key_of(JOB, ".jpg") == f"3f/{JOB}.jpg"
    assert key_of(JOB, ".png", 2).startswith(f"3f/{JOB}-2-")


def test_no_two_outputs_have_the_same_key():
    assert len({key_of(JOB, ".png", 1) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "key", [f"3f/{JOB}", f"3f/{JOB}.jpg~", f"{JOB}.jpg", "3f/\udcff.jpg", "3f/", ""]
)
def test_what_is_no_key_of_ours_has_no_owner(key):
    assert owner_of(key) is None
