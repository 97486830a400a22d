"""What all tests share: no deadline on a loaded machine, and nothing of the settings of whoever runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.valkey import Valkey

settings.register_profile("here", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")

OF_AN_OPERATOR = ("GUARDRAIL_", "DEMO_", "REDIS_URL")


@pytest.fixture(autouse=True, scope="session")
def only_our_settings() -> None:
    """A shell prepared for a real proxy must not decide what is tested, nor be written to."""
    for name in [name for name in os.environ if name.startswith(OF_AN_OPERATOR)]:
        del os.environ[name]


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """One server for all tests of a worker; each keeps to keys of its own."""
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.kill()
