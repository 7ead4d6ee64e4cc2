"""The settings: their names, their defaults, and what they refuse."""

import subprocess

import pytest
from pydantic import ValidationError

from actors.imaging.facts import Limits
from tests.web.running import COMMAND, environment
from web.bounds import Bounds, Rate
from web.settings import Settings

POSITIVE = [
    name
    for name in Settings.model_fields
    if name not in {"host", "port", "allow_anonymous", "input_formats", "log_format", "log_level"}
    and name not in {"fetch_allow", "fetch_deny", "fetch_ports", "max_redirects", "cors_origins"}
    and name not in {"trusted_proxies", "otel_traces_exporter", "otel_sdk_disabled"}
    and not name.endswith(("_path", "_dir", "presets"))
]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """Begin with none of the developer's own."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_names_and_defaults_of_the_service_that_this_one_replaces_are_kept():
    settings = Settings()

    assert settings.port == 8080
    assert str(settings.db_path) == "data/jobs.db"
    assert str(settings.upload_dir) == "uploads"
    assert str(settings.output_dir) == "outputs"
    assert settings.worker_pool_size == 10
    assert settings.max_upload_size == 10485760


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("PORT", "9090", 9090),
        ("PORT", "0", 0),
        ("DB_PATH", "/tmp/a.db", "/tmp/a.db"),  # noqa: S108 - nothing is written there
        ("UPLOAD_DIR", "in", "in"),
        ("OUTPUT_DIR", "out", "out"),
        ("PRESETS", "presets.toml", "presets.toml"),
        ("WORKER_POOL_SIZE", "3", 3),
        ("MAX_UPLOAD_SIZE", "1000", 1000),
        ("KEEP_ALIVE", "0.5", 0.5),
        ("LOG_LEVEL", "warning", "warning"),
        ("OTEL_SDK_DISABLED", "true", True),
        ("OTEL_SDK_DISABLED", "", False),
        ("OTEL_TRACES_EXPORTER", "", "none"),
        ("keep_alive", "0.5", 0.5),
    ],
)
def test_a_setting_is_read_from_its_variable(monkeypatch, name, text, value):
    monkeypatch.setenv(name, text)

    setting = getattr(Settings(), name.lower())

    assert setting == value or str(setting) == value


@pytest.mark.parametrize("name", POSITIVE)
@pytest.mark.parametrize("text", ["0", "-1", "", "many", "inf", "nan", "1" + 30 * "0"])
def test_a_number_that_makes_no_sense_is_refused_by_name(monkeypatch, name, text):
    monkeypatch.setenv(name.upper(), text)

    with pytest.raises(ValidationError) as refused:
        Settings()

    assert [error["loc"] for error in refused.value.errors()] == [(name,)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("port", "65536"),
        ("port", "-1"),
        ("port", "http"),
        ("port", ""),
        ("allow_anonymous", "perhaps"),
        ("log_format", "xml"),
        ("log_level", "loud"),
        ("input_formats", ""),
        ("input_formats", "jpeg,,png"),
        ("input_formats", "jpeg,bmp"),
        ("worker_pool_size", "2.5"),
        ("keep_alive", "nan"),
        ("fetch_allow", "10.0.0.0/99"),
        ("fetch_deny", "a b"),
        ("fetch_ports", ""),
        ("fetch_ports", "80,"),
        ("fetch_ports", "0"),
        ("fetch_ports", "65536"),
        ("fetch_ports", "http"),
        ("fetch_ports", "\u0661"),
        ("rate_requests", "100"),
        ("rate_requests", "100/0m"),
        ("rate_bytes", "1.5M/1m"),
        ("rate_wrong_keys", "100/32d"),
        ("quota_jobs", "100/1m"),
        ("quota_pixels", "10T"),
        ("trusted_proxies", "10.0.0.1/8"),
        ("trusted_proxies", "proxy.example.org"),
        ("trusted_proxies", "10.0.0.1,"),
        ("max_redirects", "-1"),
        ("max_redirects", "21"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(monkeypatch, name, text):
    monkeypatch.setenv(name.upper(), text)

    with pytest.raises(ValidationError) as refused:
        Settings()

    assert [error["loc"] for error in refused.value.errors()] == [(name,)]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_keys(monkeypatch, host):
    monkeypatch.setenv("HOST", host)

    assert not Settings().needs_keys


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",  # noqa: S104 - nothing listens
        "::",
        "",
        "192.168.1.1",
        "8.8.8.8",
        "example.org",
        "127.0.0.1.example.org",
    ],
)
def test_listening_beyond_loopback_needs_keys_or_must_be_meant(monkeypatch, host):
    monkeypatch.setenv("HOST", host)
    assert Settings().needs_keys

    monkeypatch.setenv("ALLOW_ANONYMOUS", "1")
    assert not Settings().needs_keys


def test_settings_do_not_change():
    settings = Settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1


def test_every_setting_says_what_it_means():
    assert all(field.description for field in Settings.model_fields.values())


def test_the_limits_of_an_image_are_those_that_are_set(monkeypatch):
    monkeypatch.setenv("MAX_PIXELS", "7")
    monkeypatch.setenv("MAX_FRAMES", "3")
    monkeypatch.setenv("INPUT_FORMATS", "png, TIFF")

    limits = Settings().image_limits

    assert (limits.max_pixels, limits.max_frames) == (7, 3)
    assert sorted(limits.formats) == ["png", "tiff"]


def test_heic_is_read_if_it_is_named_and_its_decoder_is_there(monkeypatch):
    monkeypatch.setenv("INPUT_FORMATS", "jpeg,heic")
    assert Settings().image_limits.formats == {"jpeg", "heic"}

    monkeypatch.setattr("web.settings.find_spec", lambda _name: None)
    with pytest.raises(ValidationError, match=r"pip install 'calotype\[heif\]'"):
        Settings()


def test_traces_are_exported_if_what_does_so_is_there(monkeypatch):
    assert Settings().otel_traces_exporter == "none"
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    assert Settings().otel_traces_exporter == "otlp"

    monkeypatch.setattr("web.settings.find_spec", lambda _name: None)
    with pytest.raises(ValidationError, match=r"pip install 'calotype\[otel\]'"):
        Settings()


def test_the_formats_that_are_read_are_the_usual_ones():
    assert Settings().image_limits.formats == Limits().formats


def calotype(*words: str, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_lists_every_setting_with_its_value_and_meaning():
    listed = calotype("settings", PORT=1234, DB_PATH="/somewhere/else.db")

    lines = {line.split()[0]: line for line in listed.stdout.splitlines() if line.split()}
    assert listed.returncode == 0, listed.stderr
    assert "1234" in lines["PORT"]
    assert "/somewhere/else.db" in lines["DB_PATH"]
    text = " ".join(listed.stdout.split())
    for name, field in Settings.model_fields.items():
        assert name.upper() in lines
        assert str(field.description) in text


@pytest.mark.parametrize("command", ["serve", "settings"])
def test_the_command_says_which_setting_is_wrong_and_ends(command):
    ended = calotype(command, PORT="http", WORKER_POOL_SIZE=0)

    assert ended.returncode == 2
    assert "PORT='http'" in ended.stderr
    assert "WORKER_POOL_SIZE='0'" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"DB_PATH": ""}, "DB_PATH must name a file"),
        ({"DB_PATH": "/"}, "DB_PATH must name a file"),
        ({"UPLOAD_DIR": ""}, "UPLOAD_DIR and OUTPUT_DIR"),
        ({"UPLOAD_DIR": "a", "OUTPUT_DIR": "a/b"}, "UPLOAD_DIR and OUTPUT_DIR"),
        ({"UPLOAD_DIR": "a/b", "OUTPUT_DIR": "a"}, "UPLOAD_DIR and OUTPUT_DIR"),
        ({"WORKER_POOL_SIZE": "257"}, "WORKER_POOL_SIZE=257 is more than MAX_POOL_SIZE=256"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_by_name(monkeypatch, setting, words):
    for name, text in setting.items():
        monkeypatch.setenv(name, text)

    with pytest.raises(ValidationError, match=words):
        Settings()


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", set()),
        ("*", {"*"}),
        ("https://app.example", {"https://app.example"}),
        (
            " http://127.0.0.1:3000 ,https://[::1]:8443,",
            {"http://127.0.0.1:3000", "https://[::1]:8443"},
        ),
    ],
)
def test_origins_are_named_as_browsers_do(monkeypatch, text, origins):
    assert Settings().origins == frozenset()

    monkeypatch.setenv("CORS_ORIGINS", text)

    assert Settings().origins == origins


@pytest.mark.parametrize(
    "text",
    [
        *(
            "app.example",
            "https://app.example/",
            "HTTPS://app.example",
            "https://*.example",
            "null",
        ),
        *("https://app.example https://other.example", "file://", "https://app.example:0", "** "),
    ],
)
def test_what_no_browser_says_is_no_origin(monkeypatch, text):
    monkeypatch.setenv("CORS_ORIGINS", text)

    with pytest.raises(ValidationError) as refused:
        Settings()

    assert [error["loc"] for error in refused.value.errors()] == [("cors_origins",)]


def test_what_a_caller_may_use_is_read_from_four_settings(monkeypatch):
    assert Settings().bounds == Bounds()

    for name, text in {
        "RATE_REQUESTS": "100/1m",
        "RATE_BYTES": "50M/2h",
        "QUOTA_JOBS": "20",
        "QUOTA_PIXELS": "10G",
    }.items():
        monkeypatch.setenv(name, text)

    assert Settings().bounds == Bounds(
        requests=Rate(100, 60), bytes=Rate(50_000_000, 7200), jobs=20, pixels=10**10
    )
