"""A release build can't contain a test instance."""

import pytest
from scripts.sdk import SdkError, android, apk
from scripts.sdk.tools import DEX

pytestmark = pytest.mark.skipif(not DEX.is_file(), reason="make sdk-dex fetches what shrinks code")


def test_shrinking_an_app_that_calls_one_fails() -> None:
    """By the rules that the artifact brings along, where anything of it is left."""
    called = "-keep class dev.watchword.TestInstance { *; }"
    with pytest.raises(SdkError, match=r"(?s)discard.*TestInstance|TestInstance.*discard"):
        apk.shrunk(android.Build(), "testinstance", called)


def test_shrinking_an_app_that_has_one_on_its_path_does_not() -> None:
    """What nothing calls is gone."""
    code = apk.shrunk(
        android.Build(), "testinstance", "-keep class dev.watchword.WatchwordConfig { *; }"
    )
    assert b"TestInstance" not in code
