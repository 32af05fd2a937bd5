"""Spans as a real collector gets them: OTLP over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from cryptowatcher.adapters.traces import TracesConfig, ids_of, open_traces
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Answer, Traces
from tests.adapters.loopback import Request, raw, serving

ANSWER = Answer("coingecko", 1_780_000_000_000)


@asynccontextmanager
async def collector() -> AsyncIterator[tuple[str, list[Span]]]:
    """A collector's address, and the spans that it was sent."""
    spans: list[Span] = []

    async def take(request: Request, writer: asyncio.StreamWriter) -> None:
        for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            for scope in resource.scope_spans:
                spans.extend(scope.spans)
        writer.write(raw(200, b""))

    async with serving(take) as server:
        yield f"{server.url}/v1/traces", spans


def sent(*, ratio: float = 1.0, answer: Answer = ANSWER) -> list[Span]:
    async def scenario() -> list[Span]:
        async with collector() as (url, spans):
            async with open_traces(TracesConfig(url=url, ratio=ratio), version="1.0") as traces:
                assert traces is not None
                tell(traces, answer)
            return spans

    return asyncio.run(scenario())


def tell(traces: Traces, answer: Answer) -> None:
    traces.span("ask", answer, 1_000, 1_250, {"page": 0}, root=True)
    traces.span("watch", answer, 1_300, 1_301)
    traces.span("deliver", answer, 1_400, 1_900, {"channel": "ops"}, error="timeout")


def test_the_spans_of_an_answer_are_one_trace_under_its_call() -> None:
    ask, watch, deliver = sent()
    trace_id, root_id = ids_of(ANSWER)
    assert {span.trace_id for span in (ask, watch, deliver)} == {trace_id.to_bytes(16)}
    assert ask.span_id == root_id.to_bytes(8)
    assert ask.parent_span_id == b""
    assert {watch.parent_span_id, deliver.parent_span_id} == {ask.span_id}
    assert len({ask.span_id, watch.span_id, deliver.span_id}) == 3


def test_a_span_says_when_how_long_what_and_why_it_failed() -> None:
    ask, _, deliver = sent()
    assert (ask.start_time_unix_nano, ask.end_time_unix_nano) == (1_000_000_000, 1_250_000_000)
    said = {attribute.key: attribute.value for attribute in deliver.attributes}
    assert said["channel"].string_value == "ops"
    assert said["cryptowatcher.source"].string_value == "coingecko"
    assert deliver.status.message == "timeout"
    assert ask.status.message == ""


def test_another_process_gives_the_same_answer_the_same_trace() -> None:
    first, second = sent(), sent()
    assert [span.trace_id for span in first] == [span.trace_id for span in second]
    assert first[0].span_id == second[0].span_id


def test_every_part_traces_the_same_share_of_the_answers() -> None:
    answers = [Answer("coingecko", at) for at in range(40)]
    traced = [len(sent(ratio=0.5, answer=answer)) for answer in answers[:8]]
    assert set(traced) <= {0, 3}
    share = sum(ids_of(answer)[0] < 0.5 * 2**128 for answer in answers)
    assert 8 < share < 32
    assert sent(ratio=0.0) == []


def test_without_an_address_nothing_is_traced() -> None:
    async def scenario() -> None:
        async with open_traces(TracesConfig(), version="1.0") as traces:
            assert traces is None

    asyncio.run(scenario())


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        TracesConfig(url="me:secret@localhost:4318")
    assert caught.value.where == "traces.url"
    assert "secret" not in str(caught.value)


def test_a_collector_that_never_answers_does_not_hold_up_the_end() -> None:
    async def scenario() -> None:
        hung, asked = asyncio.Event(), asyncio.Event()

        async def hang(request: Request, writer: asyncio.StreamWriter) -> None:
            asked.set()
            await hung.wait()

        async with serving(hang) as server:
            async with open_traces(TracesConfig(url=f"{server.url}/v1/traces"), version="1.0") as traces:
                assert traces is not None
                for number in range(2_000):
                    traces.span("ask", Answer("coingecko", number), 0, 1, root=True)
            assert not hung.is_set()  # it ended although nobody has been answered
            hung.set()

    asyncio.run(asyncio.wait_for(scenario(), 60))
