"""Addresses of object stores and folders: read, checked, and shown without anything secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from monitor.core.errors import ConfigError

S3 = ("s3", "s3a")
S3_OPTIONS = ("endpoint_url", "region", "profile", "anon")
LOCAL = ("file", "local")
WHOLE_ADDRESS = ("http", "https")  # whose query belongs to the address, and is no option

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PASSWORD = re.compile(r"//[^/?#@]*:[^/?#]*@")
_SECRET = re.compile(r"key|secret|passw|token|sas|credential|signature", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ObjectAddress:
    """Where an object store is: `s3://bucket/clips?endpoint_url=http://nas:9000`, another fsspec address, or a folder.

    Passwords do not belong here: an address stands in settings, which are shown and kept. They come from where each
    library looks for them (`AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, `~/.aws/credentials`), or from variables
    `FSSPEC_SCHEME_OPTION` that fsspec reads.
    """

    name: str  # what may be shown: without options
    folder: Path | None  # of a folder
    url: str = ""  # of an object store, without options
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def scheme(self) -> str:
        """What the address begins with, in small letters: `s3`; `file` for a folder."""
        return "file" if self.folder is not None else self.url.partition("://")[0].lower()

    @classmethod
    def parse(cls, text: str) -> ObjectAddress:
        """Reads an address, without looking whether there is anything.

        Raises:
            ConfigError: if it is none, or contains a password. The message does not repeat it.
        """
        if not (match := _SCHEME.match(text)):
            folder = (Path(text).expanduser() if text.startswith("~/") else Path(text)).absolute()
            return cls(str(folder), folder)
        scheme = match[1].lower()
        text = f"{scheme}{text[len(scheme) :]}"
        if _PASSWORD.search(text):
            raise ConfigError(f"An address contains no password: {_instead(scheme)}.")
        if scheme in LOCAL:
            folder = Path(unquote(urlsplit(text).path))
            if not folder.is_absolute():
                raise ConfigError("The address of a folder is file:// and its whole path: file:///mnt/clips.")
            return cls(str(folder), folder)
        if scheme in WHOLE_ADDRESS:
            return cls(text.partition("?")[0], None, text)
        url, _, query = text.partition("?")
        if not url.partition("://")[2].strip("/"):
            raise ConfigError(f"The address names no bucket, host or folder: {scheme}://NAME/FOLDER.")
        return cls(url.rstrip("/"), None, url.rstrip("/"), _options(scheme, query))


def sibling(text: str, name: str) -> str:
    """The address of another folder beside that of an address, or in it if that is a whole bucket; same options.

    `sibling("s3://plant/clips?region=eu", "models")` is `s3://plant/models?region=eu`.
    """
    match = _SCHEME.match(text)
    start = match.end() if match else 0
    url, mark, query = text.partition("?") if start else (text, "", "")  # a folder may have a question mark in its name
    beginning, path = url[:start], url[start:].rstrip("/")
    parent, slash, _ = path.rpartition("/")
    if not slash and start:  # only a bucket
        parent, slash = path, "/"
    return f"{beginning}{parent}{slash}{name}{mark}{query}"


def _options(scheme: str, query: str) -> dict[str, str]:
    """The options of an address, by what stands after its question mark.

    Raises:
        ConfigError: if one is unknown, or would be a password.
    """
    options = dict(parse_qsl(query, keep_blank_values=True))
    for option, value in options.items():
        if _SECRET.search(option):
            raise ConfigError(f"An address contains no password: {_instead(scheme)}.")
        if scheme in S3 and option not in S3_OPTIONS:
            raise ConfigError(f"An option after '?' is unknown; an address of S3 takes {', '.join(S3_OPTIONS)}.")
        if option == "endpoint_url" and not re.fullmatch(r"https?://[^/@\s]+/?", value):
            raise ConfigError("endpoint_url begins with http:// or https://, then the host and port, and no more.")
    return options


def _instead(scheme: str) -> str:
    """Where passwords belong."""
    if scheme in S3:
        return "put it into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or into ~/.aws/credentials"
    name = re.sub(r"\W", "_", scheme).upper()
    return f"put it into a variable that fsspec reads, such as FSSPEC_{name}_PASSWORD"
