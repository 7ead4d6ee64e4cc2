"""Every ask ends: with an answer, with an error that has a name, or with the asker's deadline."""

import gc
import subprocess
import sys
import textwrap
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
import trio.testing

from actors.errors import ActorStopped, HandlerCrashed, MailboxFull
from actors.mailbox import Address, Envelope, Mailbox, Request, open_mailbox
from tests.conftest import PATIENCE

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Double(Request[int]):
    number: int


class Odd(Exception):
    """An error that is part of the contract."""


class Heard:
    """What came of an ask that runs as a task of its own."""

    def __init__(self) -> None:
        self.answer: object = None
        self.error: Exception | None = None
        self.scope = trio.CancelScope()

    async def ask(self, address: Address, request: Double) -> None:
        with self.scope:
            try:
                answer = await address.ask(request)
                self.answer = answer
            except Exception as error:  # noqa: BLE001 (the test looks at it)
                self.error = error


async def send(nursery: trio.Nursery, address: Address, number: int = 1) -> Heard:
    """Ask in a task of its own, and return once it waits."""
    heard = Heard()
    nursery.start_soon(heard.ask, address, Double(number))
    await trio.testing.wait_all_tasks_blocked()
    return heard


async def for_ever() -> None:
    """Sleep, so that mypy does not take what follows a cancelled block for unreachable."""
    await trio.sleep_forever()


def number_in(envelope: Envelope) -> int:
    assert isinstance(envelope.message, Double)
    return envelope.message.number


async def receive(mailbox: Mailbox) -> Envelope:
    """Return the next envelope."""
    with trio.fail_after(PATIENCE):
        async for envelope in mailbox:
            return envelope
    raise AssertionError("the mailbox has ended")


async def test_an_ask_returns_the_answer(nursery):
    address, mailbox = open_mailbox("doubler", 1)
    heard = await send(nursery, address, 21)

    envelope = await receive(mailbox)
    envelope.answer(number_in(envelope) * 2)
    await trio.testing.wait_all_tasks_blocked()

    assert heard.answer == 42


async def test_an_answer_may_be_none_or_an_exception_as_a_value(nursery):
    address, mailbox = open_mailbox("doubler", 2)
    nothing, error = await send(nursery, address), await send(nursery, address)
    value = Odd()

    (await receive(mailbox)).answer(None)
    (await receive(mailbox)).answer(value)
    await trio.testing.wait_all_tasks_blocked()

    assert (nothing.answer, nothing.error) == (None, None)
    assert (error.answer, error.error) == (value, None)


async def test_an_ask_raises_what_the_handler_fails_with(nursery):
    address, mailbox = open_mailbox("doubler", 1)
    heard = await send(nursery, address)

    (await receive(mailbox)).fail(Odd("3"))
    await trio.testing.wait_all_tasks_blocked()

    assert isinstance(heard.error, Odd)
    assert heard.error.args == ("3",)


async def test_messages_are_read_in_the_order_they_were_sent(nursery):
    address, mailbox = open_mailbox("doubler", 2)
    for number in range(5):
        await send(nursery, address, number)

    numbers = [number_in(await receive(mailbox)) for _ in range(5)]

    assert numbers == [0, 1, 2, 3, 4]


async def test_a_closing_mailbox_releases_the_askers_whose_mail_nobody_has_read(nursery):
    # Trio drops what is buffered when the last receiver closes, and closes nothing that is
    # dropped: without care, these askers would wait for ever.
    address, mailbox = open_mailbox("doubler", 2)
    queued = [await send(nursery, address) for _ in range(2)]

    mailbox.close()
    await trio.testing.wait_all_tasks_blocked()

    assert [type(heard.error) for heard in queued] == [ActorStopped, ActorStopped]


async def test_a_closing_mailbox_releases_the_askers_that_wait_for_room(nursery):
    address, mailbox = open_mailbox("doubler", 1)
    queued = [await send(nursery, address) for _ in range(4)]

    mailbox.close()
    await trio.testing.wait_all_tasks_blocked()

    assert [type(heard.error) for heard in queued] == 4 * [ActorStopped]


async def test_leaving_the_with_of_a_mailbox_closes_it(nursery):
    address, mailbox = open_mailbox("doubler", 1)
    heard = await send(nursery, address)

    with mailbox:
        pass
    await trio.testing.wait_all_tasks_blocked()

    assert isinstance(heard.error, ActorStopped)


async def test_a_mailbox_may_be_closed_twice():
    _, mailbox = open_mailbox("doubler", 1)
    mailbox.close()

    mailbox.close()

    with pytest.raises(trio.ClosedResourceError):
        await receive(mailbox)


async def test_asking_a_closed_mailbox_names_the_actor_that_stopped():
    address, mailbox = open_mailbox("doubler", 1)
    mailbox.close()

    with pytest.raises(ActorStopped, match="doubler"):
        await address.ask(Double(1))


async def test_asking_through_a_closed_address_is_refused():
    address, _ = open_mailbox("doubler", 1)
    address.close()

    with pytest.raises(ActorStopped, match="doubler"):
        await address.ask(Double(1))


async def test_a_bug_in_the_handler_reaches_the_asker_by_name_and_goes_on_up(nursery):
    address, mailbox = open_mailbox("doubler", 1)
    heard = await send(nursery, address)
    envelope = await receive(mailbox)

    with pytest.raises(ZeroDivisionError), envelope:
        envelope.answer(1 // 0)
    await trio.testing.wait_all_tasks_blocked()

    assert isinstance(heard.error, HandlerCrashed)
    assert heard.error.args == ("Double",)


async def test_a_bug_after_the_answer_changes_nothing_for_the_asker(nursery):
    address, mailbox = open_mailbox("doubler", 1)
    heard = await send(nursery, address)
    envelope = await receive(mailbox)

    def answer_and_crash():
        with envelope:
            envelope.answer(2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        answer_and_crash()
    await trio.testing.wait_all_tasks_blocked()

    assert (heard.answer, heard.error) == (2, None)


async def test_a_forgotten_answer_reads_as_a_stopped_actor(nursery):
    address, mailbox = open_mailbox("doubler", 1)
    heard = await send(nursery, address)

    with await receive(mailbox):
        pass
    await trio.testing.wait_all_tasks_blocked()

    assert isinstance(heard.error, ActorStopped)
    assert heard.error.args == ("doubler",)


async def test_an_actor_that_is_cancelled_with_an_envelope_in_hand_reads_as_stopped(nursery):
    address, mailbox = open_mailbox("doubler", 1)
    heard = await send(nursery, address)
    envelope = await receive(mailbox)

    with trio.CancelScope() as scope, envelope:
        scope.cancel()
        await trio.sleep_forever()
    await trio.testing.wait_all_tasks_blocked()

    assert isinstance(heard.error, ActorStopped)


async def test_an_envelope_can_be_answered_only_once(nursery):
    address, mailbox = open_mailbox("doubler", 1)
    heard = await send(nursery, address)
    envelope = await receive(mailbox)
    envelope.answer(1)

    with pytest.raises(trio.ClosedResourceError):
        envelope.answer(2)
    await trio.testing.wait_all_tasks_blocked()

    assert heard.answer == 1


async def test_an_actor_sees_which_envelopes_are_abandoned(nursery):
    address, mailbox = open_mailbox("doubler", 2)
    gone, here = await send(nursery, address), await send(nursery, address)

    gone.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()

    assert (await receive(mailbox)).abandoned
    assert not (await receive(mailbox)).abandoned
    assert here.error is None


async def test_a_deadline_of_the_asker_abandons_the_envelope(autojump_clock):
    address, mailbox = open_mailbox("doubler", 1)

    with pytest.raises(trio.TooSlowError), trio.fail_after(5):
        await address.ask(Double(1))

    assert trio.current_time() == pytest.approx(5)
    assert (await receive(mailbox)).abandoned


async def test_work_that_nobody_waits_for_any_more_is_cancelled(nursery):
    address, mailbox = open_mailbox("actor", 2)
    ended = []

    async def work():
        with await receive(mailbox) as envelope:
            with envelope.while_wanted():
                await for_ever()
            ended.append(envelope.abandoned)

    nursery.start_soon(work)
    stays, leaves = [await send(nursery, address, number) for number in (1, 2)]
    nursery.start_soon(work)
    await trio.testing.wait_all_tasks_blocked()
    nothing_yet = list(ended)

    leaves.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()

    assert (nothing_yet, ended) == ([], [True])
    stays.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    assert ended == [True, True]


async def test_work_is_not_begun_for_an_asker_who_has_gone(nursery):
    address, mailbox = open_mailbox("actor", 1)
    (await send(nursery, address)).scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    reached = False

    with await receive(mailbox) as envelope, envelope.while_wanted():
        await trio.lowlevel.checkpoint()
        reached = True

    assert not reached


async def test_work_for_a_forwarded_envelope_is_cancelled_with_its_asker(nursery):
    address, mailbox = open_mailbox("front", 1)
    back, back_mail = open_mailbox("back", 1)
    heard = await send(nursery, address)
    with await receive(mailbox) as envelope:
        back.forward(envelope)
    forwarded = await receive(back_mail)

    with trio.fail_after(PATIENCE), forwarded, forwarded.while_wanted():
        nursery.start_soon(trio.lowlevel.checkpoint)
        heard.scope.cancel()
        await for_ever()

    assert forwarded.abandoned


async def test_an_answer_ends_what_is_done_for_it(nursery):
    address, mailbox = open_mailbox("actor", 1)
    heard = await send(nursery, address)

    with trio.fail_after(PATIENCE), await receive(mailbox) as envelope, envelope.while_wanted():
        envelope.answer(2)
        await for_ever()

    assert heard.answer == 2


async def test_whether_an_envelope_is_abandoned_can_be_asked_in_any_thread(nursery):
    address, mailbox = open_mailbox("doubler", 1)
    heard = await send(nursery, address)
    envelope = await receive(mailbox)

    before = await trio.to_thread.run_sync(lambda: envelope.abandoned)
    heard.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    after = await trio.to_thread.run_sync(lambda: envelope.abandoned)

    assert (before, after) == (False, True)


@pytest.mark.parametrize("conclude", [Envelope.answer, Envelope.fail])
async def test_the_one_who_answers_never_waits_and_learns_whether_it_was_heard(nursery, conclude):
    address, mailbox = open_mailbox("doubler", 2)
    gone, _ = await send(nursery, address), await send(nursery, address)
    gone.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    lost, wanted = await receive(mailbox), await receive(mailbox)

    # Both are plain functions: they cannot wait.
    heard = conclude(lost, Odd()), conclude(wanted, Odd())

    assert heard == (False, True)


async def test_an_answer_in_the_moment_of_cancellation_is_either_heard_or_known_to_be_lost(nursery):
    # A Claim that is answered and believed to be heard must not be lost with its jobs.
    address, mailbox = open_mailbox("doubler", 1)
    asker = await send(nursery, address)
    envelope = await receive(mailbox)

    asker.scope.cancel()  # Its task has not run since.
    heard = envelope.answer(42)
    await trio.testing.wait_all_tasks_blocked()

    assert heard == (asker.answer == 42)


async def test_forwarding_hands_over_the_duty_to_answer(nursery):
    front, front_mail = open_mailbox("front", 1)
    back, back_mail = open_mailbox("back", 1)
    heard = await send(nursery, front, 4)

    with await receive(front_mail) as envelope:
        back.forward(envelope)
    await trio.testing.wait_all_tasks_blocked()
    still_waiting = heard.error is None
    (await receive(back_mail)).answer(8)
    await trio.testing.wait_all_tasks_blocked()

    assert still_waiting
    assert heard.answer == 8


async def test_an_asker_whose_forwarded_mail_is_dropped_is_released(nursery):
    front, front_mail = open_mailbox("front", 1)
    back, back_mail = open_mailbox("back", 1)
    heard = await send(nursery, front)
    with await receive(front_mail) as envelope:
        back.forward(envelope)

    back_mail.close()
    await trio.testing.wait_all_tasks_blocked()

    assert isinstance(heard.error, ActorStopped)


async def test_a_forwarded_envelope_is_abandoned_with_its_asker(nursery):
    front, front_mail = open_mailbox("front", 1)
    back, back_mail = open_mailbox("back", 1)
    heard = await send(nursery, front)
    with await receive(front_mail) as envelope:
        back.forward(envelope)

    heard.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()

    assert (await receive(back_mail)).abandoned


async def test_an_envelope_that_finds_no_room_is_still_yours(nursery):
    front, front_mail = open_mailbox("front", 2)
    back, back_mail = open_mailbox("back", 1)
    await send(nursery, back)
    heard = await send(nursery, front)
    envelope = await receive(front_mail)

    with pytest.raises(MailboxFull, match="back"):
        back.forward(envelope)
    envelope.fail(MailboxFull("back"))
    await trio.testing.wait_all_tasks_blocked()

    assert isinstance(heard.error, MailboxFull)
    assert back_mail.statistics().waiting == 1


@pytest.mark.parametrize("end", ["address", "mailbox"])
async def test_an_envelope_for_a_stopped_actor_is_still_yours(nursery, end):
    front, front_mail = open_mailbox("front", 1)
    back, back_mail = open_mailbox("back", 1)
    heard = await send(nursery, front)
    envelope = await receive(front_mail)
    (back if end == "address" else back_mail).close()

    with pytest.raises(ActorStopped, match="back"):
        back.forward(envelope)
    envelope.answer(7)
    await trio.testing.wait_all_tasks_blocked()

    assert heard.answer == 7


async def test_a_failed_forward_leaves_nobody_behind_who_could_answer(nursery):
    front, front_mail = open_mailbox("front", 1)
    back, _ = open_mailbox("back", 0)
    heard = await send(nursery, front)

    with await receive(front_mail) as envelope, pytest.raises(MailboxFull):
        back.forward(envelope)
    await trio.testing.wait_all_tasks_blocked()

    assert isinstance(heard.error, ActorStopped)


async def test_an_ask_that_is_cancelled_while_it_waits_for_room_is_never_sent(nursery):
    address, mailbox = open_mailbox("doubler", 1)
    await send(nursery, address, 1)
    outside = await send(nursery, address, 2)
    blocked = mailbox.statistics().blocked

    outside.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    address.close()

    assert blocked == 1
    assert [number_in(envelope) async for envelope in mailbox] == [1]


class Share:
    """What an asker holds until its request is out of everybody's hands."""

    def __init__(self):
        self.given_back = 0

    def give_back(self):
        self.given_back += 1

    async def ask(self, address, scope):
        with scope, suppress(Exception):
            await address.ask(Double(1), self.give_back)


@pytest.mark.parametrize("end", ["answer", "failure", "bug", "silence"])
async def test_a_request_is_concluded_with_its_envelope(nursery, end):
    address, mailbox = open_mailbox("doubler", 1)
    share = Share()
    nursery.start_soon(share.ask, address, trio.CancelScope())
    envelope = await receive(mailbox)
    before = share.given_back

    with suppress(ZeroDivisionError), envelope:
        match end:
            case "answer":
                envelope.answer(2)
            case "failure":
                envelope.fail(Odd())
            case "bug":
                raise ZeroDivisionError

    assert (before, share.given_back) == (0, 1)


async def test_a_request_that_is_abandoned_is_concluded_only_when_nobody_holds_it(nursery):
    address, mailbox = open_mailbox("doubler", 1)
    share, scope = Share(), trio.CancelScope()
    nursery.start_soon(share.ask, address, scope)
    await trio.testing.wait_all_tasks_blocked()

    scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    abandoned = share.given_back
    with await receive(mailbox):
        pass

    assert (abandoned, share.given_back) == (0, 1)


async def test_a_request_that_is_passed_on_is_concluded_by_the_last_who_holds_it(nursery):
    front, front_mail = open_mailbox("front", 1)
    back, back_mail = open_mailbox("back", 1)
    share = Share()
    nursery.start_soon(share.ask, front, trio.CancelScope())

    with await receive(front_mail) as envelope:
        back.forward(envelope)
        with pytest.raises(MailboxFull):
            back.forward(envelope)
    passed_on = share.given_back
    back_mail.close()

    assert (passed_on, share.given_back) == (0, 1)


@pytest.mark.parametrize(
    ("how", "heard"), [("answer", 1), ("abandoned", 1), ("failure", 0), ("nothing", 0), ("full", 0)]
)
async def test_who_passes_a_request_on_hears_whether_it_is_answered(nursery, how, heard):
    front, front_mail = open_mailbox("front", 1)
    back, back_mail = open_mailbox("back", 0 if how == "full" else 1)
    share, scope, answered = Share(), trio.CancelScope(), []
    nursery.start_soon(share.ask, front, scope)
    with await receive(front_mail) as envelope, suppress(MailboxFull):
        back.forward(envelope, lambda: answered.append(how))
    if how == "abandoned":
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
    before = len(answered)

    if how != "full":
        with await receive(back_mail) as envelope:
            if how in {"answer", "abandoned"}:
                envelope.answer(4)
            if how == "failure":
                envelope.fail(Odd())
    await trio.testing.wait_all_tasks_blocked()

    assert (before, len(answered)) == (0, heard)


@pytest.mark.parametrize("end", ["gone", "cancelled"])
async def test_a_request_that_is_never_sent_is_concluded(nursery, end):
    address, mailbox = open_mailbox("doubler", 0)
    share, scope = Share(), trio.CancelScope()
    nursery.start_soon(share.ask, address, scope)
    await trio.testing.wait_all_tasks_blocked()

    if end == "gone":
        mailbox.close()
    scope.cancel()
    await trio.testing.wait_all_tasks_blocked()

    assert share.given_back == 1


async def test_an_actor_that_takes_over_goes_on_with_the_next_message(nursery):
    address, mailbox = open_mailbox("doubler", 3)
    numbers = [await send(nursery, address, number) for number in range(3)]

    async def crash_at_once():
        async for envelope in mailbox:
            with envelope:
                raise ZeroDivisionError

    async def double_everything():
        async for envelope in mailbox:
            with envelope:
                envelope.answer(number_in(envelope) * 2)

    with pytest.raises(ZeroDivisionError):
        await crash_at_once()
    address.close()
    await double_everything()
    await trio.testing.wait_all_tasks_blocked()

    assert isinstance(numbers[0].error, HandlerCrashed)
    assert [heard.answer for heard in numbers] == [None, 2, 4]


async def test_a_crash_leaves_no_half_read_iterator_to_the_garbage_collector(nursery):
    address, mailbox = open_mailbox("doubler", 1)
    await send(nursery, address)

    async def crash():
        async for envelope in mailbox:
            with envelope:
                raise ZeroDivisionError

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ZeroDivisionError):
            await crash()
        gc.collect()

    assert [str(each.message) for each in caught] == []


async def test_a_mailbox_ends_when_its_last_address_closes_and_all_mail_is_read(nursery):
    address, mailbox = open_mailbox("doubler", 3)
    other = address.clone()
    await send(nursery, address, 1)
    address.close()
    await send(nursery, other, 2)
    other.close()

    numbers = [number_in(envelope) async for envelope in mailbox]

    assert numbers == [1, 2]


async def test_closing_a_clone_leaves_the_original_open(nursery):
    address, mailbox = open_mailbox("doubler", 1)

    with address.clone() as clone:
        pass
    heard = await send(nursery, address, 3)
    (await receive(mailbox)).answer(6)
    await trio.testing.wait_all_tasks_blocked()

    assert clone.name == "doubler"
    assert heard.answer == 6
    with pytest.raises(ActorStopped):
        await clone.ask(Double(1))


async def test_closing_an_address_twice_does_not_close_its_clone(nursery):
    address, mailbox = open_mailbox("doubler", 1)
    clone = address.clone()

    address.close()
    address.close()
    await send(nursery, clone, 3)
    clone.close()

    assert [number_in(envelope) async for envelope in mailbox] == [3]


async def test_statistics_tell_how_full_a_mailbox_is(nursery):
    address, mailbox = open_mailbox("doubler", 2)
    for _ in range(3):
        await send(nursery, address)

    now = mailbox.statistics()

    assert (now.waiting, now.capacity, now.blocked) == (2, 2, 1)


def test_the_type_of_an_answer_follows_from_the_message(tmp_path):
    (tmp_path / "snippet.py").write_text(
        textwrap.dedent(
            """
            from actors.mailbox import Address
            from actors.messages import Claim, Delete, Find

            async def look(address: Address) -> None:
                reveal_type(await address.ask(Find("1")))
                reveal_type(await address.ask(Claim(1, 1)))
                await address.ask(Find(1))
                await address.ask("1")
            """
        )
    )

    # Its own plain configuration and a cache that lasts, so that it costs little.
    mypy = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "mypy",
                "--strict",
                "--config-file=",
                "--follow-imports=silent",
            ),
            *("--cache-dir", str(ROOT / ".mypy_cache" / "of-tests"), str(tmp_path / "snippet.py")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 'Revealed type is "actors.storage.ports.Job"' in mypy.stdout
    assert 'Revealed type is "tuple[actors.storage.ports.Job, ...]"' in mypy.stdout
    assert 'Argument 1 to "Find" has incompatible type "int"' in mypy.stdout
    assert 'Argument 1 to "ask" of "Address" has incompatible type "str"' in mypy.stdout
    assert "Found 2 errors in 1 file" in mypy.stdout
