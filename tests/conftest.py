"""What all tests share: no deadline on a loaded machine, and nothing of the settings of whoever runs them."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("here", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")

OF_AN_OPERATOR = ("GUARDRAIL_", "DEMO_", "REDIS_URL")


@pytest.fixture(autouse=True, scope="session")
def only_our_settings() -> None:
    """A shell prepared for a real proxy must not decide what is tested, nor be written to."""
    for name in [name for name in os.environ if name.startswith(OF_AN_OPERATOR)]:
        del os.environ[name]
