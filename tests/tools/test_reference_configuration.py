"""The reference page says what the settings are."""

from tools import reference_configuration


def test_every_setting_is_described() -> None:
    assert reference_configuration.undocumented() == []


def test_the_page_is_up_to_date() -> None:
    written = reference_configuration.PAGE.read_text()
    assert written == reference_configuration.render(), "run: python tools/reference_configuration.py"
