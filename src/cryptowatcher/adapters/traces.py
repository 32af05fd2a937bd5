"""Traces for OpenTelemetry: what became of each answer of a source, from the call to the message.

A trace is one answer. Its id is computed from what every part knows of it (the source, and when it was received),
as all ids here are: so nothing is carried along, and it goes on after a crash and in another process.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import msgspec

from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Answer, Traces

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

NANO = 1_000_000
FLUSH_WITHIN = 2.0


class TracesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where traces are sent (OpenTelemetry, with the extra `traces`); nothing is sent while `url` is empty.

    url:   of a collector that takes OTLP over HTTP, for example http://127.0.0.1:4318/v1/traces
    ratio: how many of the answers are traced, 0 to 1; the same ones by every part of the program

    What the environment says in OTEL_EXPORTER_OTLP_… (headers, certificates) counts too.
    """

    url: str = ""
    ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0

    def __post_init__(self) -> None:
        if self.url and not self.url.startswith(("http://", "https://")):
            hint = 'for example url = "http://127.0.0.1:4318/v1/traces"'
            raise ConfigError("this is not a web address", where="traces.url", hint=hint)


@asynccontextmanager
async def open_traces(config: TracesConfig, *, version: str) -> AsyncIterator[Traces | None]:
    """Sends spans in the background until the context ends; None when nothing is to be sent. ConfigError when the
    extra is not installed."""
    if not config.url:
        yield None
        return
    sent = _OpenTelemetry(config, version)
    try:
        yield sent
    finally:
        # A collector that does not answer must not hold up a stop, and asyncio would wait for a thread of its own.
        ending = Thread(target=sent.close, name="close traces", daemon=True)
        ending.start()
        until = asyncio.get_running_loop().time() + FLUSH_WITHIN
        while ending.is_alive() and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110  a thread's end
            await asyncio.sleep(0.02)


class _OpenTelemetry:
    def __init__(self, config: TracesConfig, version: str) -> None:
        self._ratio = config.ratio
        self._ids = _Ids()
        self._provider = _provider(config.url, version, self._ids)
        self._tracer = self._provider.get_tracer("cryptowatcher", version)

    def span(
        self,
        name: str,
        answer: Answer,
        began: int,
        ended: int,
        said: Mapping[str, str | int | float] | None = None,
        *,
        root: bool = False,
        error: str = "",
    ) -> None:
        from opentelemetry import trace

        trace_id, root_id = ids_of(answer)
        if trace_id >= self._ratio * 2**128:
            return
        span = self._begin(name, trace_id, root_id, began, root=root)
        span.set_attributes({"cryptowatcher.source": answer.source, **(said or {})})
        if error:
            span.set_status(trace.Status(trace.StatusCode.ERROR, error))
        span.end(ended * NANO)

    def _begin(self, name: str, trace_id: int, root_id: int, began: int, *, root: bool) -> Span:
        from opentelemetry import context, trace

        if root:
            self._ids.first = (trace_id, root_id)
            return self._tracer.start_span(name, context.Context(), start_time=began * NANO)
        of = trace.SpanContext(trace_id, root_id, is_remote=False, trace_flags=trace.TraceFlags(1))
        parent = trace.set_span_in_context(trace.NonRecordingSpan(of), context.Context())
        return self._tracer.start_span(name, parent, start_time=began * NANO)

    def close(self) -> None:
        self._provider.shutdown()


def ids_of(answer: Answer) -> tuple[int, int]:
    """The trace of an answer and the span of its call: 128 and 64 bits, never 0."""
    content = f"{answer.source}\x1f{answer.received_at}".encode()
    digest = hashlib.blake2b(content, digest_size=24).digest()
    return int.from_bytes(digest[:16]) or 1, int.from_bytes(digest[16:]) or 1


class _Ids:
    """Ids as OpenTelemetry asks for them: those that were computed for a root, else random ones."""

    def __init__(self) -> None:
        self.first: tuple[int, int] | None = None
        self._random = Random()

    def generate_span_id(self) -> int:
        if self.first is None:
            return self._random.getrandbits(64) or 1
        (_, span_id), self.first = self.first, None
        return span_id

    def generate_trace_id(self) -> int:
        return self.first[0] if self.first else self._random.getrandbits(128) or 1

    def is_trace_id_random(self) -> bool:
        return False


def _provider(url: str, version: str, ids: _Ids) -> TracerProvider:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        hint = "pip install 'cryptowatcher[traces]', or take [traces] out of the configuration"
        raise ConfigError("traces need an extra that is not installed", where="traces", hint=hint) from None
    resource = Resource.create({"service.name": "cryptowatcher", "service.version": version})
    provider = TracerProvider(resource=resource, id_generator=ids, shutdown_on_exit=False)  # type: ignore[arg-type]  # duck
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=5)))
    return provider
