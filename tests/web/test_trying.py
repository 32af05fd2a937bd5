"""Test messages: some at a time of each owner, however many they ask for."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cryptowatcher.domain.addresses import Outbound
from cryptowatcher.domain.reaching import StoredChannel
from cryptowatcher.trying import Tried
from cryptowatcher.web.channels import TRIES_AT_ONCE
from tests.web.test_own_channels import NTFY, PEOPLE, given, paths
from tests.web.world import world


def test_somebody_who_asks_for_many_test_messages_at_once_holds_a_few_connections_and_no_more(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        asked, answer = 0, asyncio.Event()
        all_asked = asyncio.Event()

        async def hang(channel: StoredChannel) -> Tried:
            nonlocal asked
            asked += 1
            if asked == TRIES_AT_ONCE:
                all_asked.set()
            await answer.wait()
            return Tried(channel=channel.name, outcome="sent", reason="", answer="", seconds=1.0)

        async with world(tmp_path) as here:
            deps = given(here, Outbound()) | {"try_stored": hang}
            async with here.client(**deps) as client:

                async def ask() -> int:
                    said = await client.post("/api/v1/channels/try", json={"name": "mine", **NTFY})
                    return said.status_code

                hanging = [asyncio.create_task(ask()) for _ in range(TRIES_AT_ONCE)]
                await all_asked.wait()
                assert await ask() == 429
                assert asked == TRIES_AT_ONCE
                answer.set()
                assert await asyncio.gather(*hanging) == [200] * TRIES_AT_ONCE
                assert await ask() == 200, "there is room again"

    asyncio.run(main())


def test_what_looks_like_a_number_and_is_none_is_said_to_be_wrong(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here, here.client(**given(here, Outbound())) as client:
            body = {"name": "mine", **PEOPLE, "settings": {"fallback_failures": "--5"}}
            assert paths(await client.post("/api/v1/channels/try", json=body)) == ["settings.fallback_failures"]

    asyncio.run(main())
