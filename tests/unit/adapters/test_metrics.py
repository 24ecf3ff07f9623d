"""Show counters to Prometheus."""

from watchword.adapters.metrics import Metric, exposition


def test_exposition_is_what_prometheus_reads() -> None:
    """The text has help, type, labels in quotes with escapes, and values."""
    text = exposition(
        [
            Metric("a_total", "counter", "Some.", {(("where", 'a"b\\c\nd'),): 3}),
            Metric("b", "gauge", "Other.", {(): 1.5}),
        ]
    )
    assert text.decode() == (
        "# HELP a_total Some.\n"
        "# TYPE a_total counter\n"
        'a_total{where="a\\"b\\\\c\\nd"} 3.0\n'
        "# HELP b Other.\n"
        "# TYPE b gauge\n"
        "b 1.5\n"
    )


def test_large_counters_stay_exact() -> None:
    """A counter beyond a million isn't rounded."""
    metric = Metric("a_total", "counter", "Some.", {(): 12_345_678})
    assert b"a_total 1.2345678e+07\n" in exposition([metric])
