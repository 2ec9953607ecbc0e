"""`ctl takeover check|heal`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.doubles.bbb_process import BbbProcess, bbb_servers
from tests.doubles.recording_admin_bench import RecordingAdminBench, open_admin_bench
from tests.doubles.recordings import make_recording
from tests.doubles.scalelite_data import load_scalelite_data


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, BbbProcess]]:
    """Run the servers of the Scalelite data, except the disabled one."""
    with bbb_servers(3) as started:
        yield {f"bbb{number}.example.org": bbb for number, bbb in enumerate(started, 1)}


@pytest.fixture
async def place(
    redis_url: str,
    redis_namespace: str,
    database_url: str,
    tmp_path: Path,
    servers: dict[str, BbbProcess],
) -> AsyncIterator[RecordingAdminBench]:
    variables = {"MULTITENANCY_ENABLED": "true"}
    async with open_admin_bench(
        redis_url, redis_namespace, database_url, tmp_path, **variables
    ) as bench:
        for name in ("published", "unpublished"):
            (tmp_path / name).mkdir(exist_ok=True)
        await load_scalelite_data(bench.res.redis.background.client, redis_namespace, servers)
        yield bench


async def test_check_shows_findings_and_succeeds_without_problems(
    place: RecordingAdminBench,
) -> None:
    await place.add(make_recording("right"))

    done = await place.control.ctl("takeover", "check")

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Fine:\n")
    assert "\n  enabled servers: 2\n" in done.out
    assert "\n  servers that answer this host: 3\n" in done.out
    assert "\n  published recordings: 1\n" in done.out
    assert "Requires" not in done.out


async def test_check_shows_the_first_names_and_advice(place: RecordingAdminBench) -> None:
    await place.add(*(make_recording(f"r{number}") for number in range(8)), wrong=True)
    await place.add(make_recording("lost", formats=()))

    done = await place.control.ctl("takeover", "check")

    assert done.code == 1
    assert (
        "\nRepaired by `ctl takeover heal`:\n"
        "  formats in the wrong directory: 8\n"
        "\tr0/presentation\n\tr1/presentation\n\tr2/presentation\n\tr3/presentation\n"
        "\tr4/presentation\n"
        "\t… and 3 more (--json shows all)\n"
        "\n"
        "Requires an operator:\n"
        "  recordings without a format: 1\n"
        "\tlost\n"
        "\t-> import the tar again, or delete the recording\n"
    ) in done.out


async def test_check_prints_all_names_as_json(place: RecordingAdminBench) -> None:
    await place.add(*(make_recording(f"r{number}") for number in range(8)), wrong=True)

    done = await place.control.ctl("takeover", "check", "--json")

    (wrong,) = [one for one in done.json["findings"] if one["verdict"] == "heal"]
    assert (done.code, done.err) == (0, "")
    assert (wrong["count"], len(wrong["names"])) == (8, 8)


async def test_heal_shows_each_repair_first_as_dry_run(place: RecordingAdminBench) -> None:
    await place.add(*(make_recording(f"r{number}") for number in range(8)), wrong=True)
    names = "".join(f"\tr{number}/presentation\n" for number in range(8))

    dry = await place.control.ctl("takeover", "heal", "--dry-run")
    done = await place.control.ctl("takeover", "heal")
    again = await place.control.ctl("takeover", "heal")

    assert (dry.code, done.code, again.code) == (0, 0, 0)
    assert dry.out.endswith(f"Would be repaired:\n  formats in the wrong directory: 8\n{names}")
    assert done.out.endswith(f"Repaired:\n  formats in the wrong directory: 8\n{names}")
    assert again.out.endswith("nothing to repair\n")
    assert place.log.named("takeover_healed")[0]["by"].startswith("uid=")
