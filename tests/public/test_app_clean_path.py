"""Spellings of a path that are routed alike."""

from __future__ import annotations

import pytest

from appliance.public.app import clean_path, clean_scope
from tests.doubles.public import API, open_public
from tests.doubles.settings import SECRET
from tests.doubles.signing import sign_url

ADMIN = "/scalelite/api"


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [
        (f"{API}/getMeetings", f"{API}/getMeetings"),
        (f"{API}//getMeetings", f"{API}/getMeetings"),
        (f"{API}/getMeetings/", f"{API}/getMeetings"),
        (f"//{API}///hooks//create//", f"{API}/hooks/create"),
        (f"{API}/", API),
        ("/", "/"),
        ("//", "/"),
        ("/health_check/", "/health_check"),
        ("/metrics/", "/metrics"),
        (f"{ADMIN}/getServers/", f"{ADMIN}/getServers"),
        (f"{ADMIN}/getServers.json", f"{ADMIN}/getServers"),
        (f"{ADMIN}/openapi.json", f"{ADMIN}/openapi.json"),
        (f"{ADMIN}/recordings/rec-1.json", f"{ADMIN}/recordings/rec-1.json"),
        (f"{API}/getMeetings.json", f"{API}/getMeetings.json"),
        ("/presentation/rec-1/", "/presentation/rec-1/"),
        ("/presentation//rec-1/events.json", "/presentation/rec-1/events.json"),
        ("*", "*"),
        (f"http://user@evil.example{API}/create/", f"http://user@evil.example{API}/create/"),
    ],
)
def test_path_is_cleaned(path: str, cleaned: str) -> None:
    assert clean_path(path) == cleaned
    assert clean_path(cleaned) == cleaned
    scope = {"type": "http", "path": path}
    assert clean_scope(scope) == {"type": "http", "path": cleaned}
    assert scope["path"] == path


@pytest.mark.parametrize(
    "path",
    [
        f"{API}//isMeetingRunning",
        f"{API}/isMeetingRunning/",
        f"/{API}/isMeetingRunning",
    ],
)
async def test_checksum_covers_the_name_of_the_call_when_its_path_has_more_slashes(
    path: str, redis_url: str, redis_namespace: str
) -> None:
    signed = sign_url(API, "isMeetingRunning", "meetingID=abc", SECRET)
    query = signed.partition("?")[2]
    async with open_public(redis_url, redis_namespace) as public:
        assert (await public.ask("GET", f"{path}?{query}")).text("running") == "false"
        wrong = await public.ask("GET", f"{path}?{query[:-1]}")
        assert wrong.key == "checksumError"


@pytest.mark.parametrize("path", ["/health_check/", "//health_check", "//"])
async def test_health_is_told_when_its_path_has_more_slashes(
    path: str, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        answer = await public.ask("GET", path)
        assert (answer.status, answer.body) == (200, b"success")
