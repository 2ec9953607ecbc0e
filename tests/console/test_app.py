"""The listener of CONSOLE_BIND."""

from __future__ import annotations

from dataclasses import replace

import trio

from appliance.console.app import make_console_app
from appliance.console.routes import make_console
from appliance.settings import Bind
from tests.doubles.console import ConsoleClient, open_console
from tests.doubles.features import open_features
from tests.doubles.public import Public, serving
from tests.doubles.settings import SECRET


async def test_own_listener_serves_the_console_and_nothing_else(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_features(redis_url, redis_namespace, URL_HOST="bbb.example.org") as features:
        console = make_console(features)
        web = replace(features.settings.web, binds=(Bind("tcp", "127.0.0.1", 0),))
        app = make_console_app(console)
        async with serving(app, web, features.log) as (_, urls, _), trio.open_nursery() as nursery:
            nursery.start_soon(console.live.run)
            public = Public(features, int(urls[0].rpartition(":")[2]))
            client = ConsoleClient(public)

            home = await client.ask("GET", "/")
            logged_in = await client.log_in(SECRET)
            page = await client.get("/scalelite/servers")
            others = [
                (await client.ask("GET", path)).status
                for path in ("/bigbluebutton/api", "/scalelite/api/getServers", "/metrics", "/x")
            ]

            assert (home.status, home.headers["location"]) == (303, "/scalelite/")
            assert logged_in.status == 303
            assert "There are no servers yet" in page
            assert others == [404, 404, 404, 404]
            console.live.stopping.set()
            nursery.cancel_scope.cancel()


async def test_address_without_its_slash_leads_to_the_one_that_cookies_are_sent_to(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_console(redis_url, redis_namespace) as opened:
        client = await opened.log_in("viewer")
        client.cookies.clear()

        answer = await client.ask("GET", "/scalelite")

        assert (answer.status, answer.headers["location"]) == (303, "/scalelite/")
