"""/health_check and /: can this appliance serve the API?

Redis decides, which must take writes, too; PostgreSQL alone leaves it healthy, since everything
but recordings goes on.
"""

from __future__ import annotations

from appliance.faults import StoreDown
from appliance.http.messages import Request, Response
from appliance.redis.store import RedisStores

HEALTH_PATHS = frozenset({"/health_check", "/"})
_TEXT = b"text/plain; charset=utf-8"


async def check_health(redis: RedisStores, request: Request, vanished: int) -> Response:
    """Answer 200 `success`, or 503 with the reason (Scalelite: 200 even then).

    `vanished`: number of servers that have vanished from Redis.
    """
    if request.method not in ("GET", "HEAD"):
        return Response(405, _TEXT, b"GET only.\n", ((b"allow", b"GET, HEAD"),))
    try:
        await redis.ping()
    except StoreDown as error:
        reason = f"Health Check Failure: the meeting store is not reachable ({error})"
        return Response(503, _TEXT, reason.encode("utf-8", "replace"))
    if vanished:
        reason = f"Health Check Failure: all servers ({vanished}) have vanished from Redis"
        return Response(503, _TEXT, reason.encode())
    return Response(200, _TEXT, b"success")
