"""What every register of repeated requests must do, whatever its catalogue is made of."""

import shutil
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.storage.keeping import TRIMMED, Keeping
from actors.storage.ports import StorageError
from actors.storage.repeats import AnswerForgotten, Once, OtherRequest
from actors.storage.sqlite import SqliteCatalogue
from tests.conftest import NOON
from tests.storage.catalogues import Each, minute, new_job
from tests.storage.memory.catalogue import MemoryCatalogue

DAY = Keeping(most=100, age=timedelta(days=1))
ONCE = Once("größer than 🖼 '\"; --", "5f")


@pytest.fixture
def repeats(catalogue):
    return Each(catalogue, "repeats")


def test_what_was_answered_is_recalled_as_it_was(repeats):
    assert repeats.recall("acme", ONCE, minute(0)) is None

    repeats.record("acme", ONCE, "a", '{"größer":\t1}', minute(1), DAY)

    assert repeats.recall("acme", ONCE, minute(1)) == '{"größer":\t1}'


def test_a_name_belongs_to_a_tenant(repeats):
    repeats.record("acme", ONCE, "a", "1", minute(0), DAY)
    repeats.record("", ONCE, "b", "2", minute(0), DAY)

    assert repeats.recall("acme", ONCE, minute(0)) == "1"
    assert repeats.recall("", ONCE, minute(0)) == "2"
    assert repeats.recall("other", ONCE, minute(0)) is None


def test_a_name_is_of_one_request(repeats):
    repeats.record("acme", ONCE, "a", "1", minute(0), DAY)

    with pytest.raises(OtherRequest):
        repeats.recall("acme", Once(ONCE.name, "6e"), minute(0))


def test_a_name_can_be_given_anew_when_it_is_too_old_to_count(repeats):
    repeats.record("acme", ONCE, "a", "1", minute(0), DAY)

    assert repeats.recall("acme", Once(ONCE.name, "6e"), minute(1)) is None
    repeats.record("acme", Once(ONCE.name, "6e"), "b", "2", minute(2), DAY)

    assert repeats.recall("acme", Once(ONCE.name, "6e"), minute(1)) == "2"


def test_of_what_is_deleted_nothing_is_told_but_that_it_was_done(repeats):
    repeats.record("acme", ONCE, "a", "1", minute(0), DAY)
    repeats.record("acme", Once("other", "5f"), "b", "2", minute(0), DAY)

    repeats.forget("a")

    with pytest.raises(AnswerForgotten):
        repeats.recall("acme", ONCE, minute(0))
    with pytest.raises(OtherRequest):
        repeats.recall("acme", Once(ONCE.name, "6e"), minute(0))
    assert repeats.recall("acme", Once("other", "5f"), minute(0)) == "2"


def test_the_deletion_of_a_job_or_an_image_has_it_forgotten(catalogue):
    def prepare(it):
        it.add(new_job("a"), NOON)
        it.repeats.record("", ONCE, "a", "1", NOON, DAY)
        it.delete("a", NOON)

    prepared, recalled = catalogue.batch(
        [prepare, lambda it: it.repeats.recall("", ONCE, minute(0))]
    )

    assert prepared is None
    assert type(recalled) is AnswerForgotten


def test_a_request_and_its_answer_share_a_transaction(catalogue):
    def do_and_fail(it):
        it.add(new_job("a"), NOON)
        it.repeats.record("", ONCE, "a", "1", NOON, DAY)
        it.find("nowhere")

    catalogue.batch([do_and_fail])
    recalled, pending = catalogue.batch(
        [lambda it: it.repeats.recall("", ONCE, minute(0)), lambda it: it.pending()]
    )

    assert (recalled, pending) == (None, 0)


def test_what_is_too_old_leaves_the_file_as_new_ones_come(tmp_path):
    catalogue = SqliteCatalogue(tmp_path / "calotype.db")
    hour = Keeping(most=100, age=timedelta(hours=1))
    for number in range(2 * TRIMMED):
        catalogue.repeats.record("acme", Once(str(number), "5f"), "a", "1", minute(0), hour)

    for number in range(3):
        catalogue.repeats.record("other", Once(str(number), "5f"), "a", "1", minute(61), hour)

    (left,) = catalogue._db.execute("select count(*) from repeats").fetchone()
    assert left == 3
    catalogue.close()


def test_a_register_in_sqlite_survives_a_reopening(tmp_path):
    catalogue = SqliteCatalogue(tmp_path / "calotype.db")
    catalogue.batch([lambda it: it.repeats.record("acme", ONCE, "a", "1", NOON, DAY)])
    catalogue.close()

    again = SqliteCatalogue(tmp_path / "calotype.db")

    assert again.repeats.recall("acme", ONCE, NOON) == "1"
    again.close()


@dataclass
class _Told:
    once: Once
    subject: str
    answer: str | None
    at: int


NAMES = st.sampled_from("abcd")
TENANTS = st.sampled_from(["", "acme"])
FINGERPRINTS = st.sampled_from("xy")
BOUNDS = Keeping(most=3, age=timedelta(minutes=10))


class Repeating(RuleBasedStateMachine):
    """Requests that are done once, against both registers and a list of what must be known."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.sqlite = SqliteCatalogue(self.directory / "calotype.db")
        self.memory = MemoryCatalogue()
        self.known: dict[str, list[_Told]] = {"": [], "acme": []}
        self.now = 0
        self.answers = 0

    def teardown(self) -> None:
        self.sqlite.close()
        shutil.rmtree(self.directory)

    @rule(minutes=st.integers(0, 8))
    def wait(self, minutes):
        self.now += minutes
        for told in self.known.values():
            told[:] = [each for each in told if each.at >= self.now - 10]

    @rule(tenant=TENANTS, name=NAMES, fingerprint=FINGERPRINTS, subject=st.sampled_from("ij"))
    def request(self, tenant, name, fingerprint, subject):
        once, known = Once(name, fingerprint), self.known[tenant]
        before = next((each for each in known if each.once.name == name), None)
        if before is None:
            expected: object = None
        elif before.once != once:
            expected = OtherRequest
        elif before.answer is None:
            expected = AnswerForgotten
        else:
            expected = before.answer
        self.answers += 1
        answer, now = str(self.answers), minute(self.now)

        def do_once(it):
            told = it.repeats.recall(tenant, once, BOUNDS.since(now))
            if told is None:
                it.repeats.record(tenant, once, subject, answer, now, BOUNDS)
            return told

        for catalogue in (self.sqlite, self.memory):
            (result,) = catalogue.batch([do_once])
            assert (type(result) if isinstance(result, StorageError) else result) == expected
        if before is None:
            known.append(_Told(once, subject, answer, self.now))
            del known[: -BOUNDS.most]

    @rule(subject=st.sampled_from("ij"))
    def delete(self, subject):
        for catalogue in (self.sqlite, self.memory):
            catalogue.batch([lambda it: it.repeats.forget(subject)])
        for known in self.known.values():
            for each in known:
                if each.subject == subject:
                    each.answer = None

    @invariant()
    def no_tenant_has_more_than_it_may(self):
        counts = self.sqlite._db.execute("select count(*) from repeats group by tenant")
        assert all(count <= BOUNDS.most for (count,) in counts)


TestRepeating = Repeating.TestCase
TestRepeating.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, derandomize=True
)
