"""The page for people whose join fails, in a real Chromium: it waits and goes on to the meeting."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By

from tests.doubles.appliance_client import ATTENDEE_PW
from tests.doubles.appliance_pool import ServedPool
from tests.doubles.browser import Browser

pytest_plugins = ["tests.doubles.browser_fixtures"]

IN_MEETING = "You are in the meeting"
LIGHT, DARK = "rgba(244, 246, 249, 1)", "rgba(20, 23, 28, 1)"


def open_join(browser: Browser, pool: ServedPool, meeting_id: str = "room") -> None:
    join = {"meetingID": meeting_id, "fullName": "Ann Lee", "password": ATTENDEE_PW}
    target = pool.front.target("join", join)
    browser.driver.get(f"http://127.0.0.1:{pool.front.port}{target}")


def heading(browser: Browser) -> str:
    return browser.driver.find_element(By.TAG_NAME, "h1").text


@pytest.mark.parametrize("scripts", [True, False])
def test_visitor_waits_for_a_meeting_and_is_taken_to_it(
    browser: Browser, pool: ServedPool, scripts: bool
) -> None:
    browser.set_up(scripts=scripts)
    open_join(browser, pool)
    assert heading(browser) == "The meeting has not started yet"
    assert pool.front.create("room").returncode == "SUCCESS"

    browser.wait_for_title(IN_MEETING)  # nobody has clicked

    assert "Ann Lee" in browser.driver.page_source


def test_visitor_of_an_offline_server_is_taken_to_the_meeting_where_it_is_created_again(
    browser: Browser, pool: ServedPool
) -> None:
    pool.front.create("room")
    lost = pool.holder("room")
    disabled = {"id": pool.id_of(lost), "server": {"state": "disable"}}  # its meetings stay
    pool.appliance.control.post("updateServer", disabled)
    open_join(browser, pool)
    assert heading(browser) == "The meeting is not available at the moment"
    assert pool.front.create("room").returncode == "SUCCESS"

    browser.driver.find_element(By.LINK_TEXT, "Try again now").click()

    browser.wait_for_title(IN_MEETING)


def test_page_is_in_the_language_of_the_visitor(browser: Browser, pool: ServedPool) -> None:
    browser.set_up(language="de-AT,de;q=0.9,en;q=0.5")
    open_join(browser, pool)

    assert heading(browser) == "Das Meeting hat noch nicht begonnen"
    assert browser.driver.find_element(By.TAG_NAME, "html").get_attribute("lang") == "de"


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize(("dark", "background"), [(False, LIGHT), (True, DARK)])
def test_page_can_be_read_on_every_screen(
    browser: Browser, pool: ServedPool, width: int, dark: bool, background: str
) -> None:
    browser.set_up(width=width, height=640, dark=dark, language="de")
    open_join(browser, pool)

    body = browser.driver.find_element(By.TAG_NAME, "body")
    assert body.value_of_css_property("background-color") == background
    assert browser.overflow_px() == 0
    assert browser.driver.find_element(By.TAG_NAME, "a").size["height"] >= 44  # a finger's
    # axe advises against reloading; without scripts there is nothing else that goes on by itself.
    assert [one for one in browser.find_barriers() if "meta-refresh" not in one] == []
    assert browser.take_log() == []
