"""Addresses of object stores: read, and shown without anything secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.core.errors import ConfigError
from monitor.core.object_address import ObjectAddress, sibling


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("/mnt/clips", "/mnt/clips"),
        ("file:///mnt/my%20clips", "/mnt/my clips"),
        ("~/clips", str(Path.home() / "clips")),
    ],
)
def test_a_folder_may_be_given_in_each_usual_way(text: str, folder: str) -> None:
    address = ObjectAddress.parse(text)
    assert address.folder == Path(folder)
    assert address.scheme == "file"


def test_options_stand_behind_the_address_and_are_not_shown() -> None:
    address = ObjectAddress.parse("s3://plant/clips/?endpoint_url=http://nas:9000&region=eu")
    assert (address.name, address.url) == ("s3://plant/clips", "s3://plant/clips")
    assert address.options == {"endpoint_url": "http://nas:9000", "region": "eu"}
    assert "nas" not in repr(address)
    assert ObjectAddress.parse("S3://Plant/clips").url == "s3://Plant/clips", "only the scheme is in small letters"


@pytest.mark.parametrize(
    "text",
    [
        "s3://AKIA:geheim@plant/clips", "s3://plant/clips?secret=geheim", "s3://plant?aws_secret_access_key=geheim",
        "s3://plant?endpoint_url=http://user:geheim@nas:9000", "sftp://monitor:geheim@nas/clips",
        "smb://nas/clips?password=geheim", "s3://plant?geheim=1", "s3://plant?endpoint_url=http://nas/geheim",
        "https://monitor:geheim@nas/clips",
    ],
)  # fmt: skip
def test_a_password_in_an_address_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        ObjectAddress.parse(text)
    assert "geheim" not in str(error.value)


@pytest.mark.parametrize("text", ["s3://", "s3:///", "file://clips", "sftp://"])
def test_an_address_of_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        ObjectAddress.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://plant/clips?region=eu", "s3://plant/models?region=eu"),
        ("s3://plant/hall/clips/", "s3://plant/hall/models"),
        ("s3://plant", "s3://plant/models"),
        ("/mnt/clips", "/mnt/models"),
        ("/mnt/hall?/clips", "/mnt/hall?/models"),
        ("file:///mnt/clips", "file:///mnt/models"),
    ],
)
def test_models_have_a_place_beside_the_clips(text: str, expected: str) -> None:
    assert sibling(text, "models") == expected
