"""Errors of object stores, in words. The libraries' own messages contain addresses and more, and are not shown."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.core.errors import EXIT_USAGE, MonitorError


class ObjectStoreError(MonitorError):
    """An object store does not do what it is asked for."""


class LibraryMissing(ObjectStoreError):
    """A library for this kind of address is not installed, or there is no such kind."""

    exit_code = EXIT_USAGE


class ObjectMissing(ObjectStoreError):
    """There is no file of this name in an object store that answers."""


REFUSED = "the user or password is refused, or may not do this"
UNREACHABLE = "the server cannot be reached"
NO_BUCKET = "there is no such bucket: create it, or correct the address"
# By the error codes of S3.
CODES = {
    "NoSuchBucket": NO_BUCKET,
    "InvalidBucketName": "this cannot be the name of a bucket: correct the address",
    "RequestTimeTooSkewed": "the clock of this computer differs from the server's: set it right",
    "PermanentRedirect": "the bucket is in another region: give it in the address, as ?region=NAME",
    "AuthorizationHeaderMalformed": "the bucket is in another region: give it in the address, as ?region=NAME",
    "SlowDown": "the server asks to wait",
    "ServiceUnavailable": "the server cannot answer at present",
    "QuotaExceeded": "the server has no more room",
}
REFUSALS = {"AccessDenied", "ExpiredToken", "Forbidden", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch",
            "Unauthorized", "401", "403"}  # fmt: skip
# By the names of classes, so that no library is imported for it.
CLASSES = {
    "NoCredentialsError": "no user and password are known: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write "
    "~/.aws/credentials",
    "PartialCredentialsError": "the user or the password is missing: set both AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY",
    "ProfileNotFound": "the profile is not in ~/.aws: correct it there or in the address",
    "InvalidRegionError": "the name of the region cannot be one: correct it in the address or in AWS_DEFAULT_REGION",
    "NoRegionError": "the region is missing: give it in the address, as ?region=NAME",
    "SSLError": "the server's certificate is not trusted",
    "ClientConnectorCertificateError": "the server's certificate is not trusted",
    "EndpointConnectionError": UNREACHABLE,
    "ClientConnectorError": UNREACHABLE,
    "ConnectionClosedError": "the server broke off the connection",
    "ConnectTimeoutError": UNREACHABLE,
    "ReadTimeoutError": "the server does not answer",
    "HTTPClientError": "the connection to the server fails",
    "FSTimeoutError": "the server does not answer, or is too slow",
    "ParamValidationError": "the name is not one that the server can have: correct the address",
}


def code_of(error: BaseException) -> str:
    """The error code that the server answered, in the form of S3; empty if there is none."""
    for one in _chain(error):
        response = getattr(one, "response", None)
        if isinstance(response, dict) and isinstance(about := response.get("Error"), dict):
            return str(about.get("Code", ""))
    return ""


def is_missing(error: BaseException) -> bool:
    """Whether the server says that a file does not exist; not, that its bucket does not."""
    return isinstance(error, FileNotFoundError) and code_of(error) not in ("NoSuchBucket",)


def in_words(error: BaseException) -> str:
    """What is wrong, in a few words without a full stop, and nothing of the error's own text."""
    code = code_of(error)
    if code in REFUSALS:
        return REFUSED
    if code in CODES:
        return CODES[code]
    for one in _chain(error):
        for kind in type(one).__mro__:
            if kind.__name__ in CLASSES:
                return CLASSES[kind.__name__]
    if isinstance(error, TimeoutError):
        return "the server does not answer"
    if isinstance(error, PermissionError):
        return REFUSED
    if isinstance(error, OSError) and error.errno and not code:
        import os

        return os.strerror(error.errno)
    what = code if code.isalnum() and code.isascii() and len(code) <= 60 else type(error).__name__
    return f"it fails with the error {what}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that led to it."""
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
