"""What every register of keys must do, whatever its catalogue is made of."""

from dataclasses import replace
from datetime import timedelta

import pytest

from actors.storage.credentials import Key, KeyNotFound, NewKey
from actors.storage.ports import Job
from actors.storage.sqlite import SqliteCatalogue
from tests.conftest import NOON
from tests.storage.catalogues import Each, minute, new_job
from tests.storage.memory.catalogue import MemoryCatalogue


@pytest.fixture
def keys(catalogue):
    return Each(catalogue, "keys")


def new_key(key_id: str, **changes) -> NewKey:
    values = {"digest": "5f" * 32, "tenant": "acme", "scopes": ("jobs:read",)} | changes
    return NewKey(id=key_id, **values)


def test_a_key_is_found_as_it_was_added(keys):
    new = new_key(
        "a",
        scopes=("jobs:write", "admin"),
        name="größer 🖼 '\"; --",
        expires_at=minute(7) + timedelta(microseconds=1),
        limits='{"rate":\t1}',
    )

    key = keys.add(new, minute(0))

    assert key == keys.find("a")
    assert key == Key(
        id="a",
        digest="5f" * 32,
        tenant="acme",
        scopes=("jobs:write", "admin"),
        name="größer 🖼 '\"; --",
        expires_at=minute(7) + timedelta(microseconds=1),
        limits='{"rate":\t1}',
        created_at=minute(0),
        revoked_at=None,
    )


def test_a_key_needs_no_more_than_a_tenant_and_its_scopes(keys):
    key = keys.add(new_key("a", tenant="", scopes=()), NOON)

    assert (key.tenant, key.scopes, key.name) == ("", (), "")
    assert (key.expires_at, key.limits, key.revoked_at) == (None, None, None)


def test_keys_are_listed_and_counted_in_the_order_they_were_made(keys):
    assert (keys.list_all(), keys.count()) == ([], 0)

    added = [keys.add(new_key(name), minute(9 - number)) for number, name in enumerate("cab")]

    assert keys.list_all() == added
    assert keys.count() == 3


@pytest.mark.parametrize(
    "call",
    [
        lambda keys: keys.find("x"),
        lambda keys: keys.revoke("x", NOON),
        lambda keys: keys.expire("x", NOON),
        lambda keys: keys.limit("x", None),
    ],
    ids=["find", "revoke", "expire", "limit"],
)
def test_what_is_asked_of_an_unknown_key_names_it(keys, call):
    keys.add(new_key("a"), NOON)

    with pytest.raises(KeyNotFound, match=r"^x$"):
        call(keys)


def test_a_revoked_key_stays_and_remembers_since_when(keys):
    keys.add(new_key("a"), minute(0))

    revoked = keys.revoke("a", minute(1))
    again = keys.revoke("a", minute(2))

    assert revoked.revoked_at == minute(1)
    assert again == revoked == keys.find("a")
    assert keys.count() == 1
    assert not revoked.is_good(minute(1))


@pytest.mark.parametrize(("before", "at", "after"), [(None, 5, 5), (3, 5, 3), (5, 3, 3), (5, 5, 5)])
def test_a_key_can_be_made_to_expire_sooner_and_never_later(keys, before, at, after):
    keys.add(new_key("a", expires_at=before and minute(before)), minute(0))

    key = keys.expire("a", minute(at))

    assert key == keys.find("a")
    assert key.expires_at == minute(after)


def test_a_key_is_good_until_the_moment_at_which_it_expires(keys):
    key = keys.add(new_key("a", expires_at=minute(5)), minute(0))
    for_ever = keys.add(new_key("b"), minute(0))

    assert key.is_good(minute(5) - timedelta(microseconds=1))
    assert not key.is_good(minute(5))
    assert for_ever.is_good(minute(10**6))


def test_there_is_one_secret_of_links_until_it_is_forgotten(keys):
    assert keys.link_secret("first") == "first"
    assert keys.link_secret("second") == "first"

    keys.forget_link_secret()
    keys.forget_link_secret()

    assert keys.link_secret("third") == "third"


def test_keys_and_jobs_share_a_transaction_and_a_failing_call_takes_back_both(catalogue):
    def add_then_fail(it):
        it.keys.add(new_key("b"), NOON)
        it.keys.revoke("a", NOON)
        it.keys.forget_link_secret()
        it.add(new_job("b"), NOON)
        it.keys.find("nowhere")

    results = catalogue.batch(
        [
            lambda it: it.keys.add(new_key("a"), NOON),
            lambda it: it.keys.link_secret("first"),
            add_then_fail,
            lambda it: it.add(new_job("a"), NOON),
            lambda it: (it.keys.list_all(), it.keys.link_secret("second"), it.pending()),
        ]
    )

    assert [type(result) for result in results] == [Key, str, KeyNotFound, Job, tuple]
    assert results[4] == ([results[0]], "first", 1)


def test_a_register_in_sqlite_survives_a_reopening(tmp_path):
    catalogue = SqliteCatalogue(tmp_path / "calotype.db")
    added = catalogue.batch([lambda it: it.keys.add(new_key("a"), NOON)])
    catalogue.batch([lambda it: it.keys.link_secret("first")])
    catalogue.close()

    again = SqliteCatalogue(tmp_path / "calotype.db")

    assert again.keys.list_all() == added
    assert again.keys.link_secret("second") == "first"
    again.close()


def test_a_copy_of_a_register_in_memory_changes_on_its_own():
    keys = MemoryCatalogue().keys
    keys.add(new_key("a"), NOON)
    copy = keys.copy()

    keys.add(new_key("b"), NOON)

    assert copy.count() == 1


def test_the_ids_of_all_keys_are_known_also_of_those_that_are_good_no_more(keys):
    assert keys.ids() == frozenset()

    keys.add(new_key("a"), NOON)
    keys.add(new_key("b"), NOON)
    keys.revoke("a", NOON)

    assert keys.ids() == {"a", "b"}


def test_the_limits_of_a_key_can_be_changed_and_taken_away(keys):
    added = keys.add(new_key("a", limits="{}"), NOON)

    assert keys.limit("a", '{"jobs":"1"}') == replace(added, limits='{"jobs":"1"}')
    assert keys.find("a").limits == '{"jobs":"1"}'
    assert keys.limit("a", None).limits is None
