"""A short campaign, and what a seed decides."""

import itertools

import pytest

from tests.chaos.campaign import run_campaign
from tests.chaos.model import check
from tests.chaos.plan import Plan
from tests.chaos.report import tell

PLAN = Plan(seed=7, seconds=20, clients=2, pace=0.7, rest=60)


def some(iterator):
    return list(itertools.islice(iterator, 200))


def test_a_seed_decides_which_faults_and_which_work_there_is():
    same, other = Plan(seed=7, seconds=25), Plan(seed=8, seconds=25)

    assert some(PLAN.works(1))[0].mark == "1-1"
    assert some(same.faults()) == some(Plan(seed=7, seconds=1).faults()) != some(other.faults())
    assert some(same.works(0)) == some(Plan(seed=7, seconds=1).works(0)) != some(other.works(0))
    assert [each.chance for each in some(same.works(0))] != [
        each.chance for each in some(same.works(1))
    ]


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_every_promise_is_kept_under_faults_of_all_kinds(tmp_path):
    history = await run_campaign(PLAN, tmp_path)

    violations = check(history)

    assert not violations, "\n".join(tell(history, violations))
    assert len(history.remains.jobs) > 20, "it has proved nothing"
    assert sum(death.code == -9 for death in history.deaths) > 3, "it has proved nothing"
