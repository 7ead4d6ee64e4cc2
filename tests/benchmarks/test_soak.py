"""What a soak takes for a leak."""

from benchmarks.soak import BOUNDS, Soak, grown, leaks


def soaked(**series):
    soak = Soak()
    flat = {name: [10.0] * 40 for name in BOUNDS}
    soak.series |= flat | {name.replace("_", " "): values for name, values in series.items()}
    return soak


def test_what_stays_as_it_is_has_not_grown():
    assert leaks(soaked()) == []


def test_what_rises_to_the_end_has_grown():
    assert leaks(soaked(threads=[float(n) for n in range(40)])) == ["threads"]


def test_what_rose_in_the_first_half_has_found_its_level():
    assert leaks(soaked(threads=[float(min(n, 20)) for n in range(40)])) == []


def test_what_falls_has_not_grown():
    assert leaks(soaked(threads=[40.0 - n for n in range(40)])) == []


def test_a_peak_is_no_leak():
    values = [10.0] * 40
    values[35] = 1_000

    assert leaks(soaked(threads=values)) == []


def test_noise_within_the_bounds_is_no_leak():
    values = [100 + (37 * n % 19) / 10 for n in range(200)]

    assert not grown(values, 0.03, 2)


def test_a_slow_leak_shows_in_a_long_soak():
    assert grown([100 + 0.2 * n for n in range(360)], 0.03, 2)


def test_wrong_answers_are_counted():
    soak = Soak()
    soak.ended |= {"downloaded": 5, "wrong: broken": 2, "wrong: OSError": 1}

    assert soak.wrong == 3
