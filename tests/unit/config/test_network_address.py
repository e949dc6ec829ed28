"""Addresses of sources in the network are read with all their parts, and shown without what is secret."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as some

from monitor.config.network_address import Address, Pcm, has_password, is_address, public_name
from monitor.core.errors import ConfigError

SHOWN = repr(Address.parse("rtsp://camera/sound?channel=1&token=****"))
SECRET = some.text(some.characters(codec="utf-8", exclude_categories=["C"]), min_size=4, max_size=20).filter(
    lambda text: text.isprintable() and not text.isspace() and text not in SHOWN
)


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://camera/1", "RTSPS://camera:322/1", "rtspu://camera/1", "http://radio:8000/pump.ogg", "https://radio/live.m3u8",
        "srt://10.0.0.7:9000?mode=caller", "udp://0.0.0.0:5004?rate=16000&format=s16le",
        "tcp://[fe80::1]:5004?rate=8000&format=u8&channels=2", " rtsp://camera/1 ", "ftp://host/file", "file:///etc/passwd",
        "$CAMERA", "${CAMERA}", "rtsp://$USER:$PASSWORD@camera/1",
    ],
)  # fmt: skip
def test_an_address_or_a_variable_stands_for_the_network(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize("name", ["", "3", "USB Audio: #0 (hw:1,0)", "pulse", "$$", "a $PRICE of 5", "C:/x", "//host"])
def test_the_name_of_a_microphone_does_not(name: str) -> None:
    assert not is_address(name)
    assert public_name(name) == name


@given(user=SECRET, password=SECRET, token=SECRET)
def test_what_is_shown_contains_no_user_password_or_token_however_they_are_written(
    user: str, password: str, token: str
) -> None:
    text = (
        f"rtsp://{quote(user, safe='')}:{quote(password, safe='')}@camera/sound?channel=1&token={quote(token, safe='')}"
    )
    address = Address.parse(text)
    assert address.public == "rtsp://camera/sound?channel=1&token=***"
    assert address.public == public_name(text)
    for secret in (user, password, token):
        assert quote(secret, safe="") not in repr(address)
    said = address.scrubbed(
        f"{text}: 401 for {user}:{password} with {token}, and {quote(password, safe='')}; see x://u:p@h/"
    )
    assert not any(secret in said for secret in (user, password, token))
    assert said.endswith("see x://h/")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user@radio/a", "http://radio/a"),
        ("http://radio/a?pin=1234&Channel=2&x", "http://radio/a?pin=***&Channel=2&***"),
        ("http://radio/a?channel=very%20secret", "http://radio/a?channel=***"),
        ("srt://h:1?passphrase=0123456789&mode=caller", "srt://h:1?passphrase=***&mode=caller"),
        ("http://radio/a#fragment", "http://radio/a"),
        ("http://[::1]:8000/it's", "http://[::1]:8000/it's"),
        # Wrong addresses are shown in messages, too.
        ("http://user:pass/word@radio/a", "http://radio/a"),
        ("http://user:1?word@radio/a", "http://radio/a"),
        ("http://user:1#word@radio/a", "http://radio/a"),
        ("rtmp://user:word@radio/a", "rtmp://radio/a"),
        ("rtsp://$USER:word@radio/\n", "rtsp://radio/"),
    ],
)
def test_addresses_are_shown_without_users_and_with_harmless_options_only(text: str, shown: str) -> None:
    assert public_name(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "rtmp://h/1", "file:///etc/passwd", "concat:a|b://", "rtsp://", "rtsp://:554/1", "http://h:0/", "http://h:99999/",
        "http://h:x/", "http://[::1/", "http://h/a b", "http://h/a\nfile b", "http://h/ä", f"http://h/{'a' * 2000}",
        "http://u:p/q@h/", "http://u:1/q@h/", "http://u:1?q@h/", "http://u:1#q@h/", "http://h'/", "srt://h", "udp://h:1",
        "udp://h?rate=8000&format=u8", "udp://h:1?rate=8000", "udp://h:1?rate=999&format=u8", "udp://h:1?rate=1e4&format=u8",
        "udp://h:1?rate=384001&format=u8", "udp://h:1?rate=8000&format=mp3", "udp://h:1?rate=8000&format=u8&channels=0",
        "udp://h:1?rate=8000&format=u8&channels=129", "udp://h:1?rate=8000&format=u8&listen", "udp://h:1?rate=8000&format=u8&x=1",
        "tcp://u:p@h:1?rate=8000&format=u8", "tcp://h:1/x?rate=8000&format=u8", "tcp://h:1?rate=8000&format=u8&listen=2",
    ],
)  # fmt: skip
def test_what_is_no_usable_address_is_refused_in_one_line_that_repeats_nothing_secret(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Address.parse(text, {})
    [message] = caught.value.messages
    assert message.isprintable()
    assert message.endswith(".")
    assert not any(part in message for part in ("u:p", "u:1", "q@", "p@"))


def test_variables_of_the_environment_may_contain_any_characters() -> None:
    known = {"USER": "ad min", "PASSWORD": "p@ss:/?#'ä", "CAMERA": "rtsp://a:b@camera/1", "PATH_OF_IT": "hall/press"}
    address = Address.parse("rtsp://$USER:${PASSWORD}@camera/$PATH_OF_IT?dollar=$$1", known)
    assert address.secret == "rtsp://ad%20min:p%40ss%3A%2F%3F%23%27%C3%A4@camera/hall/press?dollar=$1"
    assert (address.host, address.port) == ("camera", 554)
    assert Address.parse("$CAMERA", known) == Address.parse(known["CAMERA"])


@pytest.mark.parametrize("text", ["rtsp://u:ge$heim@h/1", "rtsp://u:$heim-nis@h/1", "http://h/?token=ge$heim"])
def test_a_dollar_within_a_password_tells_nothing_of_the_password(text: str) -> None:
    with pytest.raises(ConfigError, match=r"itself is written \$\$") as caught:
        Address.parse(text, {})
    assert "heim" not in str(caught.value)


@pytest.mark.parametrize("text", ["$CAMERA", "rtsp://u:$CAMERA@h/1"])
@pytest.mark.parametrize("known", [{}, {"CAMERA": ""}])
def test_a_variable_that_is_not_set_is_named(text: str, known: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="variable CAMERA of the environment"):
        Address.parse(text, known)


def test_the_form_of_raw_samples_stands_in_the_address() -> None:
    address = Address.parse("tcp://0.0.0.0:5004?rate=44100&format=s24be&channels=8&listen")
    assert (address.pcm, address.listens) == (Pcm(44_100, "s24be", 8), True)
    assert Address.parse("udp://[::]:5004?rate=8000&format=mulaw").pcm == Pcm(8000, "mulaw", 1)
    assert not Address.parse("tcp://h:5004?rate=8000&format=u8&listen=0").listens


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("rtsp://admin:x@camera/1", True), ("rtsp://admin@camera/1", True), ("http://h/?token=x", True),
        ("http://h/?token=$TOKEN", False), ("rtsp://$USER:$PASSWORD@camera/1", False), ("$CAMERA", False),
        ("http://h/?channel=1", False), ("srt://h:1", False), ("USB@Audio", False),
    ],
)  # fmt: skip
def test_it_is_known_which_texts_of_addresses_are_secret_themselves(text: str, secret: bool) -> None:
    assert has_password(text) == secret
