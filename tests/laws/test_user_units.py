"""The units of a user's installation say what those of the system say."""

from tests.laws import user_units


def test_the_units_of_a_user_are_derived_from_those_of_the_system() -> None:
    found = {path: path.read_text(encoding="utf-8") for path in user_units.USER.iterdir()}

    assert found == user_units.variants(), "run `python -m tests.laws.regenerate`"


def test_every_place_that_install_has_to_fill_in_is_marked() -> None:
    for path, text in user_units.variants().items():
        assert not [place for place in ("/opt/", "/etc/", "/var/", "/run/herald") if place in text], path.name
