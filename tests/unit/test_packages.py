"""Each package says in a sentence what it is for, and lists what is in it."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import monitor
import train

PACKAGES = [
    found.name
    for root in (monitor, train)
    for found in pkgutil.walk_packages(root.__path__, f"{root.__name__}.")
    if found.ispkg
]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_has_a_sentence_and_lists_its_modules_in_order(name: str) -> None:
    package = importlib.import_module(name)
    assert (package.__doc__ or "").strip().endswith(".")
    modules = [found.name for found in pkgutil.iter_modules(package.__path__)]
    assert package.__all__ == sorted(package.__all__)
    assert set(modules) <= set(package.__all__) or not set(modules) & set(package.__all__), "all modules, or functions"
    gone = [one for one in package.__all__ if one not in modules and not hasattr(package, one)]
    assert not gone, "what is listed, but is not there any more"
