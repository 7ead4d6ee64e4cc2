"""What every register of signing secrets must do, whatever its catalogue is made of."""

import pytest

from tests.storage.catalogues import Each, minute


@pytest.fixture
def signing(catalogue):
    return Each(catalogue, "signing")


def test_a_secret_is_made_on_first_need_and_stays(signing):
    assert signing.secrets("acme", "first", minute(0)) == ["first"]
    assert signing.secrets("acme", "second", minute(1)) == ["first"]


def test_each_tenant_has_its_own(signing):
    signing.secrets("acme", "first", minute(0))

    assert signing.secrets("", "second", minute(0)) == ["second"]
    assert signing.secrets("acme", "third", minute(0)) == ["first"]


def test_old_and_new_sign_until_the_old_one_retires(signing):
    signing.secrets("acme", "old", minute(0))

    signing.rotate("acme", "new", minute(10), minute(1))

    assert signing.secrets("acme", "-", minute(9)) == ["new", "old"]
    assert signing.secrets("acme", "-", minute(10)) == ["new"]


def test_a_second_rotation_makes_no_secret_last_longer(signing):
    signing.secrets("acme", "a", minute(0))
    signing.rotate("acme", "b", minute(10), minute(1))
    signing.rotate("acme", "c", minute(20), minute(11))
    signing.rotate("acme", "d", minute(15), minute(12))

    assert signing.secrets("acme", "-", minute(14)) == ["d", "c", "b"]
    assert signing.secrets("acme", "-", minute(15)) == ["d"]


def test_one_can_be_rotated_in_before_there_is_any(signing):
    signing.rotate("acme", "new", minute(10), minute(1))

    assert signing.secrets("acme", "-", minute(1)) == ["new"]
