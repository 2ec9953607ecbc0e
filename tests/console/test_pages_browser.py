"""The console in a real Chromium, on an appliance with two simulated servers."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from selenium.common.exceptions import (
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys as Key
from selenium.webdriver.remote.webelement import WebElement

from tests.doubles.appliance_pool import SHORT_TIMEOUTS, Keys, ServedPool
from tests.doubles.appliance_process import ApplianceProcess, wait_for
from tests.doubles.bbb_process import bbb_servers
from tests.doubles.browser import Browser
from tests.doubles.store_servers import PostgresServer, RedisServer

pytest_plugins = ["tests.doubles.browser_fixtures"]

PAGES = (
    *("", "servers", "servers/{id}", "meetings", "recordings", "callbacks", "audit", "doctor"),
    "what-if",
)
WAIT_S = 20.0
NO_LONGER_THERE = (
    NoSuchElementException,
    StaleElementReferenceException,
    ElementNotInteractableException,  # it has moved below something else, or is hidden
)
MARK = "getSelection().selectAllChildren(arguments[0])"
BUTTONS = "return [...document.querySelectorAll('button')].map((one) => one.textContent.trim())"
FOCUSED = "return document.activeElement.textContent"
IN_VIEW = """
const box = arguments[0].getBoundingClientRect();
return box.height > 0 && box.top >= 0 && box.bottom <= innerHeight;
"""


@pytest.fixture(scope="module")
def served(
    redis_server: RedisServer,
    postgres_server: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServedPool]:
    """Give an appliance with both stores and two servers, for the whole file."""
    namespace = f"t{uuid.uuid4().hex[:12]}"
    directory = tmp_path_factory.mktemp("appliance")
    with postgres_server.new_database() as database, bbb_servers(2) as servers:
        variables = {
            **SHORT_TIMEOUTS,
            "POLL_INTERVAL": "600",
            "REDIS_URL": redis_server.url,
            "REDIS_NAMESPACE": namespace,
            "DATABASE_URL": postgres_server.url(database),
            "SECRET_KEY_BASE": "k" * 64,
            "CONSOLE_SHOW_NAMES": "true",
        }
        with ApplianceProcess(directory, **variables) as appliance:
            keys = Keys(redis_server.socket_path, namespace)
            yield ServedPool(appliance, servers, keys)


@pytest.fixture
def pool(served: ServedPool) -> ServedPool:
    """Give the pool as new: two enabled servers with a meeting each."""
    served.reset()
    served.add_all()
    for meeting_id in ("seminar-1", "seminar-2"):  # the second goes to the other server
        served.front.create(meeting_id)
        served.holder(meeting_id).set_users(meeting_id, participants=4)
    served.appliance.poll()
    return served


@dataclass
class Visitor:
    """Somebody in front of the console."""

    browser: Browser
    pool: ServedPool
    base: str

    @property
    def driver(self):  # type: ignore[no-untyped-def]
        """Selenium's driver."""
        return self.browser.driver

    def open(self, path: str = "") -> None:
        """Load a page of the console."""
        self.driver.get(f"{self.base}/scalelite/{path}")

    def log_in(self, role: str = "operator") -> None:
        """Log in with a new token of a role."""
        name = f"{role}-{uuid.uuid4().hex[:6]}"
        added = self.pool.appliance.control.post("addToken", {"name": name, "role": role})
        secret = added["token"]
        self.pool.appliance.sensitive.add(secret)
        self.open()
        self.find("input[name=token]").send_keys(secret, Key.ENTER)
        self.wait(lambda: "/scalelite/" in self.driver.current_url and bool(self.all("nav a")))

    def find(self, selector: str) -> WebElement:
        """Return the first element."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)  # type: ignore[no-any-return]

    def all(self, selector: str) -> list[WebElement]:
        """Return all elements."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)  # type: ignore[no-any-return]

    def text(self, selector: str = "main") -> str:
        """Return the visible text of an element; empty: it is not there now."""
        try:
            return self.find(selector).text
        except (NoSuchElementException, StaleElementReferenceException):
            return ""

    def press(self, name: str, within: str = "main") -> None:
        """Press the button whose accessible name begins so, as soon as it is there."""

        def press() -> bool:
            for one in self.all(f"{within} button"):
                if one.is_displayed() and one.accessible_name.startswith(name):
                    one.click()
                    return True
            return False

        self.wait(press)

    def click(self, selector: str) -> None:
        """Click on an element as soon as it is there."""

        def click() -> bool:
            self.find(selector).click()
            return True

        self.wait(click)

    def wait(self, condition, within_s: float = WAIT_S) -> None:  # type: ignore[no-untyped-def]
        """Wait until a condition holds. What a page replaces meanwhile is looked up again."""

        def holds() -> bool:
            try:
                return bool(condition())
            except NO_LONGER_THERE:
                return False

        wait_for(holds, within_s, lambda: f"the condition; the page: {self.text('body')}")

    def wait_live(self) -> None:
        """Wait until the page changes by itself; what comes first replaces its parts."""
        self.wait(lambda: self.text("#live") == "live")

    def run(self, script: str, *arguments: object) -> object:
        """Run a script in the page and return what it returns."""
        return self.driver.execute_script(script, *arguments)

    def row(self, number: int) -> str:
        """Return the selector of a server's row."""
        return f'tr[data-part="server:{self.pool.ids[number]}"]'


@pytest.fixture
def visitor(browser: Browser, pool: ServedPool) -> Iterator[Visitor]:
    """Give a visitor; at the end the browser must have nothing to complain about."""
    made = Visitor(browser, pool, f"http://127.0.0.1:{pool.front.port}")
    yield made
    browser.set_up()
    complaints = [line for line in browser.take_log() if "status of 4" not in line]
    assert not complaints


# --- login and roles -----------------------------------------------------------------------------


def test_login_with_a_wrong_token_says_so(visitor: Visitor) -> None:
    visitor.open()
    assert len([one for one in visitor.all("input") if one.is_displayed()]) == 1
    visitor.find("input[name=token]").send_keys("sla_wrong", Key.ENTER)

    visitor.wait(lambda: "wrong, has expired or was revoked" in visitor.text("body"))
    assert not visitor.browser.find_barriers()


def test_viewer_sees_everything_and_changes_nothing(visitor: Visitor) -> None:
    visitor.log_in("viewer")
    for page in PAGES:
        visitor.open(page.format(id=visitor.pool.ids[0]))
        names = visitor.run(BUTTONS)
        assert isinstance(names, list)
        assert not [
            name
            for name in names
            if name.startswith(("Cordon", "Enable", "Disable", "Drain", "End", "Panic", "Remove"))
        ]
    visitor.press("Log out", ".rail")
    visitor.wait(lambda: bool(visitor.all("input[name=token]")))


# --- servers -------------------------------------------------------------------------------------


def test_change_by_ctl_is_shown_within_two_seconds(visitor: Visitor) -> None:
    visitor.log_in("viewer")
    visitor.open("servers")
    row = visitor.row(0)
    visitor.wait_live()
    visitor.wait(lambda: "enabled" in visitor.text(row))

    began_s = time.monotonic()
    visitor.pool.appliance.control.post("cordonServer", {"id": visitor.pool.ids[0]})
    visitor.wait(lambda: "cordoned" in visitor.text(row))

    assert time.monotonic() - began_s < 2.5


def test_cordon_can_be_undone(visitor: Visitor) -> None:
    visitor.log_in()
    visitor.open("servers")
    row = visitor.row(0)

    visitor.press("Cordon", row)
    visitor.wait(lambda: "cordoned" in visitor.text(row))
    visitor.press("Undo", "#notice")
    visitor.wait(lambda: "enabled" in visitor.text(row))

    assert visitor.pool.appliance.server(visitor.pool.ids[0])["state"] == "enabled"


def test_drain_shows_what_is_left(visitor: Visitor) -> None:
    visitor.log_in()
    visitor.open(f"servers/{visitor.pool.ids[0]}")

    visitor.press("Drain")
    visitor.wait(lambda: "1 of 1 meetings left" in visitor.text("[data-part=server]"))
    (held,) = visitor.pool.servers[0].meetings()
    visitor.pool.servers[0].end_meeting(held)
    visitor.pool.appliance.poll()

    visitor.wait(lambda: "disabled" in visitor.text("[data-part=server]"))


def test_disable_of_a_server_in_use_is_typed(visitor: Visitor) -> None:
    visitor.log_in()
    visitor.open("servers")
    label = f"127.0.0.1:{visitor.pool.servers[1].port}"

    visitor.press("Disable", visitor.row(1))
    visitor.wait(lambda: "It has 1 meeting with 4 users now." in visitor.text())
    visitor.click("nav a[href$=meetings]")
    visitor.wait(lambda: visitor.text("h1") == "Meetings")
    visitor.driver.back()  # to the confirmation, which is the answer to a form
    visitor.wait(lambda: label in visitor.text("[data-part=server]"))
    visitor.press("Disable")
    visitor.wait(lambda: "It has 1 meeting with 4 users now." in visitor.text())
    visitor.find("#typed").send_keys(label)
    visitor.press("Disable")

    visitor.wait(lambda: "ended: 1 meeting" in visitor.text())
    assert not visitor.pool.servers[1].meetings()


def test_added_server_is_tried_and_enabled(visitor: Visitor) -> None:
    visitor.pool.appliance.control.post("deleteServer", {"id": visitor.pool.ids[0], "force": True})
    bbb = visitor.pool.servers[0]
    visitor.log_in("admin")
    visitor.open("servers/add")
    visitor.find("#url").send_keys(bbb.url)
    visitor.find("#secret").send_keys(bbb.secret, Key.ENTER)

    visitor.wait(lambda: "was added and enabled" in visitor.text())
    assert "the secret is right" in visitor.text()
    visitor.press("Show the secret")
    visitor.wait(lambda: bbb.secret in visitor.text())


def test_keyboard_searches_and_opens(visitor: Visitor) -> None:
    visitor.log_in("viewer")
    visitor.open("servers")
    port = str(visitor.pool.servers[1].port)

    visitor.find("body").send_keys("/")
    search = visitor.driver.switch_to.active_element
    search.send_keys(port, Key.ENTER)
    visitor.wait(lambda: f"q={port}" in visitor.driver.current_url)
    visitor.wait_live()
    visitor.find("body").send_keys(Key.ARROW_DOWN)
    visitor.driver.switch_to.active_element.send_keys(Key.ENTER)

    visitor.wait(lambda: visitor.driver.current_url.endswith(visitor.pool.ids[1]))


def test_focus_and_selection_stay_while_rows_change(visitor: Visitor) -> None:
    """What an operator reads, marks or has under the finger is not taken away by live changes."""
    visitor.log_in()
    visitor.open("servers")
    row, other = visitor.row(1), visitor.row(0)
    visitor.wait_live()
    visitor.wait(lambda: "4" in visitor.text(f"{row} td[data-label=Users]"))
    visitor.find(f"{row} [data-open]").send_keys("")  # the focus
    visitor.run(MARK, visitor.find(f"{row} .under.status"))
    (held,) = visitor.pool.servers[1].meetings()
    visitor.pool.servers[1].set_users(held, participants=9)
    visitor.pool.appliance.poll()
    visitor.wait(lambda: visitor.text(f"{row} td[data-label=Users]").endswith("9"))
    control = visitor.pool.appliance.control
    control.post("deleteServer", {"id": visitor.pool.ids[0], "force": True})
    visitor.wait(lambda: not visitor.all(other))

    assert visitor.run(FOCUSED) == visitor.text(f"{row} [data-open]")
    assert visitor.run("return String(getSelection())") == "online"


def test_keyboard_stays_in_the_row_whose_state_it_changed(visitor: Visitor) -> None:
    visitor.log_in()
    visitor.open("servers")
    row = visitor.row(1)
    visitor.wait_live()
    # What the page has first may be from before the servers were added.
    visitor.wait(lambda: "Drain" in visitor.text(row))
    label = visitor.text(f"{row} [data-open]")
    buttons = [one for one in visitor.all(f"{row} button") if one.text == "Drain"]
    buttons[0].send_keys(Key.ENTER)
    visitor.wait(lambda: "cordoned" in visitor.text(row))

    # Not on Disable, which is where Drain was.
    visitor.wait(lambda: visitor.run(FOCUSED) == label)


def test_notice_is_in_view_and_the_keyboard_goes_on_when_a_row_or_undo_goes(
    visitor: Visitor,
) -> None:
    visitor.browser.set_up(width=390, height=400)
    visitor.log_in()
    visitor.open("servers?state=enabled")
    visitor.wait_live()
    visitor.wait(lambda: len(visitor.all("[data-open]")) == 2)
    left, other = (one.text for one in visitor.all("[data-open]"))
    button = visitor.find(f"button[aria-label='Cordon {left}']")
    visitor.run("arguments[0].scrollIntoView()", button)
    assert visitor.run("return scrollY")
    button.send_keys(Key.ENTER)
    visitor.wait(lambda: "is cordoned" in visitor.text("#notice"))
    visitor.wait(lambda: len(visitor.all("[data-open]")) == 1)

    assert visitor.run(IN_VIEW, visitor.find("#notice"))
    assert visitor.run(FOCUSED) == other
    assert not visitor.browser.find_barriers()
    visitor.run("scrollTo(0, 1000)")
    visitor.find("#notice button").send_keys(Key.ENTER)
    visitor.wait(lambda: "Undone" in visitor.text("#notice"))
    assert visitor.run("return document.activeElement.id") == "notice"
    visitor.wait(lambda: len(visitor.all("[data-open]")) == 2)
    visitor.find(".bulk [data-pick-all]").send_keys(
        " "
    )  # the one above the rows is not there on a phone
    assert len(visitor.all("input[name=ids]:checked")) == 2


def test_rows_take_their_order_when_the_pointer_has_left_them(visitor: Visitor) -> None:
    visitor.log_in()
    visitor.open("servers?sort=users")
    visitor.wait_live()
    visitor.wait(lambda: len(visitor.all("[data-open]")) == 2)
    first, last = [one.text for one in visitor.all("[data-open]")]
    (fuller,) = [one for one in visitor.pool.servers if last.endswith(f":{one.port}")]
    (held,) = fuller.meetings()
    ActionChains(visitor.driver).move_to_element(visitor.find("[data-open]")).perform()

    fuller.set_users(held, participants=9)
    visitor.pool.appliance.poll()
    visitor.wait(lambda: "9" in visitor.text("tbody[data-part=servers]").split())
    assert [one.text for one in visitor.all("[data-open]")] == [first, last]
    ActionChains(visitor.driver).move_to_element(visitor.find("h1")).perform()
    visitor.wait(lambda: [one.text for one in visitor.all("[data-open]")] == [last, first])

    fuller.set_users(held, participants=1)
    visitor.pool.appliance.poll()
    visitor.wait(lambda: [one.text for one in visitor.all("[data-open]")] == [first, last])


# --- meetings ------------------------------------------------------------------------------------


def test_enter_on_a_selected_server_changes_nothing(visitor: Visitor) -> None:
    visitor.log_in()
    visitor.open("servers")
    visitor.wait_live()
    box = f"{visitor.row(0)} input[type=checkbox]"
    visitor.click(box)
    visitor.find(box).send_keys(Key.ENTER)
    visitor.open("servers")

    assert "cordoned" not in visitor.text(visitor.row(0))


def test_meeting_is_found_and_ended(visitor: Visitor) -> None:
    visitor.pool.front.create("algebra", name="Linear Algebra")
    holder = visitor.pool.holder("algebra")
    holder.set_users("algebra", participants=2, listed=True)
    visitor.pool.appliance.poll()
    visitor.log_in("admin")
    visitor.open("meetings?q=linear")

    visitor.click("td.name a")
    visitor.wait(lambda: "Dial-in number" in visitor.text())
    assert visitor.all(".names li")
    visitor.press("End this meeting")
    visitor.wait(lambda: "2 users are in it." in visitor.text())
    visitor.press("End Linear Algebra")

    visitor.wait(lambda: "algebra was ended" in visitor.text())
    assert "algebra" not in holder.meetings()


# --- recordings ----------------------------------------------------------------------------------


def test_failed_import_is_retried(visitor: Visitor) -> None:
    failed = visitor.pool.appliance.spool / "failed"
    failed.mkdir(exist_ok=True)
    (failed / "broken.tar").write_bytes(b"no tar" * 200)
    (failed / "broken.tar.error").write_text("not a tar header")
    visitor.log_in()
    visitor.open("recordings")
    visitor.wait(lambda: "not a tar header" in visitor.text("#failed"))

    visitor.press("Retry", "#failed")

    visitor.wait(lambda: "1 import begins again" in visitor.text("#notice"))
    assert not (failed / "broken.tar").exists()


def test_refused_uploads_and_what_servers_owe_are_shown(visitor: Visitor) -> None:
    pool = visitor.pool
    url = f"http://127.0.0.1:{pool.appliance.front.port}/scalelite/api/recordings/rec-1"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(urllib.request.Request(url, b"tar", method="PUT"), timeout=20)
    now_ms = int(time.time() * 1000)
    pool.keys.ask("ZADD", f"appliance:owed:{pool.ids[0]}", now_ms, f"{'a' * 40}-{now_ms}")
    pool.keys.ask("SADD", "appliance:owed", pool.ids[0])
    visitor.log_in()
    visitor.open("recordings")
    visitor.wait(lambda: "it has no token" in visitor.text("#refused"))
    visitor.open("servers")
    visitor.wait(lambda: "1 recording owed" in visitor.text())
    visitor.open(f"servers/{pool.ids[0]}")
    visitor.wait(lambda: "Recordings owed\n1" in visitor.text())


# --- tenants -------------------------------------------------------------------------------------


def test_admin_changes_limits_and_settings_of_a_tenant(
    browser: Browser,
    redis_server: RedisServer,
    postgres_server: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    namespace = f"t{uuid.uuid4().hex[:12]}"
    with postgres_server.new_database() as database:
        variables = {
            "REDIS_URL": redis_server.url,
            "REDIS_NAMESPACE": namespace,
            "DATABASE_URL": postgres_server.url(database),
            "SECRET_KEY_BASE": "k" * 64,
            "MULTITENANCY_ENABLED": "true",
            "BASE_URL": "127.0.0.1",
        }
        directory = tmp_path_factory.mktemp("tenants")
        with ApplianceProcess(directory, **variables) as appliance:
            school = {"name": "school", "secrets": "s" * 40}
            tenant_id = appliance.control.post("addTenant", {"tenant": school})["id"]
            keys = Keys(redis_server.socket_path, namespace)
            pool = ServedPool(appliance, [], keys)
            visitor = Visitor(browser, pool, f"http://127.0.0.1:{pool.front.port}")
            visitor.log_in("admin")
            visitor.open(f"tenants/{tenant_id}")
            visitor.find("input[name=max_users]").send_keys("250", Key.ENTER)
            visitor.wait(lambda: "The limits were changed" in visitor.text("#notice"))
            visitor.find("input[name=param]").send_keys("duration")
            visitor.find("input[name=value]").send_keys("90")
            visitor.find("select[name=mode] option[value=cap]").click()
            visitor.press("Add")
            visitor.wait(lambda: "duration was set" in visitor.text("#notice"))
            overview = appliance.control.get("showTenant", id=tenant_id)

            assert overview["limits"]["max_users"]["limit"] == 250
            assert [(one["param"], one["mode"]) for one in overview["settings"]] == [
                ("duration", "cap")
            ]
            one = f"tenants/{tenant_id}"
            for path, width, language in (
                *(("tenants", 360, "en"), (one, 360, "en"), ("tenants", 1440, "en")),
                *(("tenants", 1000, "de"), ("tenants", 1200, "de")),
            ):
                browser.set_up(width=width, height=900, language=language)
                visitor.open(path)
                assert browser.overflow_px() == 0, (path, width)
                assert not browser.find_barriers(), (path, width)
            browser.set_up()
            visitor.open(one)
            visitor.press("Remove duration")
            visitor.wait(lambda: "The setting was removed" in visitor.text("#notice"))

            browser.set_up()
            assert not browser.take_log()


# --- every page ----------------------------------------------------------------------------------


def test_pages_have_no_barriers_and_fit(visitor: Visitor) -> None:
    visitor.pool.front.create("algebra", name="Linear Algebra")
    visitor.pool.appliance.poll()
    visitor.log_in("admin")
    for page in (
        *PAGES,
        "servers/add",
        "servers/{id}/plan",
        "servers/retired",
        "meetings/one?id=algebra",
    ):
        visitor.open(page.format(id=visitor.pool.ids[0]))
        for width, dark in ((360, False), (1440, True)):  # the page takes it up where it is
            visitor.browser.set_up(width=width, height=900, dark=dark)

            assert visitor.browser.overflow_px() == 0, (page, width)
            assert not visitor.browser.find_barriers(), (page, width)


def test_pages_are_read_and_used_without_scripts(visitor: Visitor) -> None:
    visitor.browser.set_up(scripts=False)
    visitor.log_in()

    def is_enabled() -> bool:  # what is shown may be a second old, and does not change by itself
        visitor.open("servers")
        return "enabled" in visitor.text(visitor.row(0))

    visitor.wait(is_enabled)
    visitor.press("Cordon", visitor.row(0))

    visitor.wait(lambda: "is cordoned" in visitor.text("#notice"))


def test_pages_are_german_for_who_wants_it(visitor: Visitor) -> None:
    visitor.browser.set_up(language="de-AT,de;q=0.9,en;q=0.5")
    visitor.log_in("admin")
    for page, word in (("", "Letzte 24 Stunden"), ("servers", "Server hinzufügen")):
        visitor.open(page)
        assert visitor.find("html").get_attribute("lang") == "de"
        assert word in visitor.text()


def test_back_and_forth_through_many_pages_never_stalls(visitor: Visitor) -> None:
    visitor.log_in("viewer")
    began_s = time.monotonic()
    for _ in range(5):
        visitor.open("servers")
        visitor.open("")
    visitor.driver.back()
    visitor.wait_live()

    assert time.monotonic() - began_s < 20
