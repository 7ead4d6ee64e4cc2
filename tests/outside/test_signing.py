"""A receiver with the published library believes us, and nobody else."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from actors.outside.signing import Secret, new_secret, signature_headers

BODY = '{"type":"job.completed","data":{"id":"é"}}'.encode()
OLD, NEW, OTHER = (new_secret() for _ in range(3))


def signed(*secrets: str, body: bytes = BODY, at: datetime | None = None) -> dict[str, str]:
    return signature_headers(
        [Secret(each) for each in secrets], "msg_1", at or datetime.now(UTC), body
    )


def test_the_example_of_the_specification_is_signed_as_there():
    secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)

    headers = signature_headers(
        [secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}'
    )

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_published_library_believes_it():
    assert Webhook(NEW).verify(BODY, signed(NEW))["type"] == "job.completed"


@given(st.text(), st.binary(min_size=24, max_size=64))
def test_the_published_library_believes_any_body_and_secret(text, key):
    secret = "whsec_" + base64.b64encode(key).decode()

    Webhook(secret).verify(text, signed(secret, body=text.encode()), json_parse=False)


@pytest.mark.parametrize("known", [OLD, NEW], ids=["old", "new"])
def test_while_secrets_change_each_of_them_is_enough(known):
    headers = signed(NEW, OLD)

    Webhook(known).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, headers)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_whatever_is_changed_is_noticed(name):
    headers = signed(NEW)
    other = {
        "webhook-id": "msg_2",
        "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1),
        "webhook-signature": signed(OTHER)["webhook-signature"],
    }

    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY, headers | {name: other[name]})
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY + b" ", headers)


def test_an_old_message_is_not_believed_again():
    with pytest.raises(WebhookVerificationError, match="old"):
        Webhook(NEW).verify(BODY, signed(NEW, at=datetime.now(UTC) - timedelta(minutes=6)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whsec_é" + 40 * "A",
        "whsec_" + 40 * "-",
    ],
)
def test_what_is_no_secret_is_refused_without_being_shown(text):
    with pytest.raises(ValueError, match=r"secret|base64") as caught:
        Secret(text)

    assert "MfKQ" not in str(caught.value)


def test_a_secret_is_not_shown():
    assert OLD.removeprefix("whsec_") not in repr(Secret(OLD))


def test_secrets_are_new():
    assert len({new_secret() for _ in range(100)}) == 100
