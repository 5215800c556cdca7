"""No secret leaves for chat or journal."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from herald import masking
from herald.masking import MASK, mask
from tests.shared.staging import SOURCES

_LETTERS = "Canary0123456789abcdefGHIJKLmnopqrstuvwx"


@pytest.mark.parametrize(
    "secret",
    [
        f"sk-ant-api03-{_LETTERS}",
        f"sk-ant-oat01-{_LETTERS}_-{_LETTERS}",
        f"ghp_{_LETTERS}",
        f"gho_{_LETTERS}",
        f"ghs_{_LETTERS}",
        f"github_pat_{_LETTERS}_{_LETTERS}",
        f"M{_LETTERS[:25]}.{_LETTERS[:6]}.{_LETTERS[:38]}",
        f"https://discord.com/api/webhooks/123456789012345678/{_LETTERS}",
        f"https://canary.discord.com/api/v10/webhooks/123456789012345678/{_LETTERS}",
        f"https://discordapp.com/api/webhooks/123456789012345678/{_LETTERS}",
        f"http://127.0.0.1:3201/api/v10/webhooks/123456789012345678/{_LETTERS}",
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{_LETTERS}\n{_LETTERS}\n-----END OPENSSH PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\\n{_LETTERS}\\n-----END PRIVATE KEY-----",
        f"-----BEGIN RSA PRIVATE KEY-----\n{_LETTERS}\nand so on, cut off",
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n{_LETTERS}\n-----END PGP PRIVATE KEY BLOCK-----",
    ],
)
@pytest.mark.parametrize("around", ["{}", "key={} ", '"{}"', "https://user:{}@host/", "a\n{}\nb"])
def test_what_has_the_shape_of_a_secret_is_masked(secret: str, around: str) -> None:
    masked = mask(around.format(secret))

    assert _LETTERS[:20] not in masked
    assert MASK in masked


@pytest.mark.parametrize(
    "text",
    [
        "an ordinary sentence about sk-ant and ghp_ tokens",
        "commit 0123456789abcdef0123456789abcdef01234567",
        "https://discord.com/channels/1/2",
        "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
        "",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert mask(text) == text


def test_loaded_credentials_are_masked_wherever_they_stand(tmp_path: Path) -> None:
    key = "\n".join(secrets.token_hex(32) for _ in range(5))
    values = {"discord_token": secrets.token_hex(20), "git_ssh_key": f"{key}\n", "short": "abc"}
    for name, value in values.items():
        (tmp_path / name).write_text(value)
    variable = secrets.token_hex(20)
    script = """
import sys
from herald import journal
text = sys.stdin.read()
journal.info(text, task="t", detail=text)
"""
    line = key.splitlines()[2]
    text = f"token {values['discord_token']}, key {key}, line {line}, variable {variable}, abc"
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        input=text,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": SOURCES, "CREDENTIALS_DIRECTORY": str(tmp_path), "ANTHROPIC_API_KEY": variable},
    )

    assert done.stderr.count(MASK) == 8
    assert "abc" in done.stderr
    for secret in (values["discord_token"], variable, *key.splitlines()):
        assert secret not in done.stderr


def test_a_value_that_was_learned_is_masked_and_of_a_webhook_the_token_alone_too() -> None:
    script = """
import sys
from herald.masking import learn_value, mask
learn_value("http://chat.example/hooks/webhooks/17/the-token-of-it?wait=1\\n")
learn_value("another value")
learn_value("")
print(mask(sys.stdin.read()))
"""
    url = "http://chat.example/hooks/webhooks/17/the-token-of-it?wait=1"
    text = f"by the-token-of-it at {url} with another value, and so on"
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        input=text,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": SOURCES},
    )

    assert done.stdout.strip() == f"by {MASK} at {MASK} with {MASK}, and so on"


def test_the_configuration_that_is_handed_over_as_a_credential_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "snapshot.json").write_text("a line of the configuration that is long enough\n")
    (tmp_path / "anthropic_api_key").write_text("\n")
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from herald.masking import mask; print(mask(sys.stdin.read()))"],
        check=True,
        input="a line of the configuration that is long enough",
        capture_output=True,
        text=True,
        env={"PYTHONPATH": SOURCES, "CREDENTIALS_DIRECTORY": str(tmp_path)},
    )

    assert done.stdout.strip() == "a line of the configuration that is long enough"


def test_a_long_text_is_masked_in_time_that_grows_with_it() -> None:
    text = (
        ("-----BEGIN " + "A " * 50) * 2000
        + "sk-ant-" * 20_000
        + "https://a/b/" * 20_000
        + "M" * 100_000
        + os.urandom(100_000).hex()
    )

    mask(text)


def test_of_a_loaded_credential_that_was_cut_off_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    token, url = secrets.token_hex(30), f"https://chat.example.org/api/webhooks/1/{secrets.token_hex(30)}"
    monkeypatch.setattr(masking, "_loaded", [])
    masking.learn_value(token)
    masking.learn_value(url)

    assert mask(f"create a file: {token[:40]}…") == f"create a file: {MASK}…"
    assert mask(f"{token[:8]}…\n{token[:59]}… and {token}") == f"{MASK}…\n{MASK}… and {MASK}"
    assert mask(f"see {url[:60]}…") == f"see {url[:40]}{MASK}…"
    assert mask("see https://chat.example.org/… and more…") == "see https://chat.example.org/… and more…"
    assert mask(f"a commit {token[:12]}") == f"a commit {token[:12]}"


_SHAPED = [
    f"sk-ant-api03-{_LETTERS}",
    f"ghp_{_LETTERS}",
    f"github_pat_{_LETTERS}_{_LETTERS}",
    f"M{_LETTERS[:25]}.{_LETTERS[:6]}.{_LETTERS[:38]}",
    f"https://discord.com/api/webhooks/123456789012345678/{_LETTERS}",
    f"-----BEGIN PRIVATE KEY-----\n{_LETTERS}\n{_LETTERS}\n-----END PRIVATE KEY-----",
]


@pytest.fixture
def knows(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes these values, and no others, the loaded ones."""
    monkeypatch.setattr(masking, "_loaded", [])

    def learn(*values: str) -> None:
        for value in values:
            masking.learn_value(value)

    return learn


@pytest.mark.parametrize("shaped", _SHAPED)
@pytest.mark.parametrize("place", ["start", "middle", "end", "nearly all"])
def test_a_known_secret_inside_a_longer_unknown_one_does_not_uncover_the_rest(
    knows: Callable[..., None], shaped: str, place: str
) -> None:
    middle = len(shaped) // 2
    parts = {
        "start": shaped[:12],
        "middle": shaped[middle - 5 : middle + 5],
        "end": shaped[-9:],
        "nearly all": shaped[4:-4],
    }
    knows(parts[place])

    assert mask(f"a {shaped} b") == f"a {MASK} b"


@pytest.mark.parametrize(
    ("known", "text", "masked"),
    [
        (["key=sk-ant-Canary"], f"key=sk-ant-{_LETTERS} b", f"{MASK} b"),
        (["Canary01:after"], f"sk-ant-{_LETTERS}-Canary01:after b", f"{MASK} b"),
        (["firsthalf-shared", "shared-secondhalf"], "a firsthalf-shared-secondhalf b", f"a {MASK} b"),
        (["abcdabcd"], "x abcdabcdabcd y abcdabcd z", f"x {MASK} y {MASK} z"),
        (["aaaaaaaa"], f"x {'a' * 100} y", f"x {MASK} y"),
        (["Canary0123", "Canary0123456789"], "Canary0123456789 Canary0123 Canary012345", f"{MASK} {MASK} {MASK}45"),
        (["Canary0123", "Canary0123456789"], "Canary012345… Canary01…", f"{MASK}… {MASK}…"),
        (["Canary0123", "3456789xyz"], "Canary0123456789xyz Canary012345…", f"{MASK} {MASK}45…"),
        (["secretone", "secrettwo"], "secretonesecrettwo", f"{MASK}{MASK}"),
    ],
    ids=[
        "reaches over the start of a shape",
        "reaches over the end of a shape",
        "two that share a part",
        "one that overlaps itself",
        "one letter again and again",
        "one is the beginning of another",
        "one is the beginning of another that was cut off",
        "one ends where another goes on",
        "two that only touch",
    ],
)
def test_what_overlaps_is_masked_as_one(knows: Callable[..., None], known: list[str], text: str, masked: str) -> None:
    knows(*known)

    assert mask(text) == masked


def test_of_a_foreign_private_key_nothing_is_left_when_its_first_or_last_line_is_known(
    knows: Callable[..., None],
) -> None:
    first, last = "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"
    knows(first, last, f"{_LETTERS}own", f"{first}\n{_LETTERS}own\n{last}")

    assert mask(f"a {first}\n{_LETTERS}\n{_LETTERS}\n{last} b") == f"a {MASK} b"
    assert mask(f"a {first}\n{_LETTERS}foreign\n{_LETTERS}own\n{last} b") == f"a {MASK} b"


def test_a_webhook_with_a_known_token_keeps_its_address_but_no_other_secret_in_it(knows: Callable[..., None]) -> None:
    knows("https://chat.example/webhooks/1/token-one", "one-more")
    elsewhere = "https://elsewhere.example/api/webhooks/1"

    assert mask(f"{elsewhere}/token-one") == f"{elsewhere}/{MASK}"
    assert mask(f"{elsewhere}/token-one-more") == f"{elsewhere}/{MASK}"
    assert mask(f"{elsewhere}/token-one-of-another") == MASK
    assert mask(f"https://ghp_{_LETTERS}@elsewhere.example/webhooks/1/token-one").count(MASK) == 2


def test_a_long_text_with_many_known_secrets_and_cuts_is_masked_in_time_that_grows_with_it(
    knows: Callable[..., None],
) -> None:
    line = "-" * 32
    knows(line, "another0 secret")

    assert mask("-" * 4_000_000) == MASK
    assert mask("another0" * 100_000 + "another0…" * 100_000).count(MASK) == 100_000
