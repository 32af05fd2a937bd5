"""What the pipeline last said of itself, and how long ago that was."""

from __future__ import annotations

import msgspec
import structlog

from cryptowatcher.domain.status import Pulse
from cryptowatcher.ports import Clock
from cryptowatcher.web.past_hour import PastHour

log = structlog.get_logger()
_decode = msgspec.json.Decoder(Pulse).decode


class Pulses:
    """Keeps the newest pulse. Its age is told by the clock of this process that never jumps. `past_hour`: is given
    each one that has metrics."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.past_hour = PastHour()
        self._newest: Pulse | None = None
        self._came_at = clock.monotonic()

    def take(self, line: bytes) -> None:
        """A pulse as JSON. Anything else is passed over: then the newest one grows old, and health says so."""
        try:
            pulse = _decode(line)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            log.warning("a pulse of the pipeline cannot be read", why=str(error))
            return
        self._came_at = self._clock.monotonic()
        if pulse.metrics:
            self.past_hour.take(pulse.at, pulse.metrics)
        elif self._newest:
            pulse = msgspec.structs.replace(pulse, metrics=self._newest.metrics)
        self._newest = pulse

    def newest(self) -> Pulse | None:
        """None before the first."""
        return self._newest

    def age(self) -> float:
        """Seconds since the newest came."""
        return self._clock.monotonic() - self._came_at
