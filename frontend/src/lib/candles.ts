// The candles of one pair as they are asked for, and the forming one as ticks come.
import { get } from "../api/client";
import type { CandleAnswer } from "../api/schema";

export const INTERVALS = { "1m": 60_000, "5m": 300_000, "1h": 3_600_000, "1d": 86_400_000 } as const;
export type Interval = keyof typeof INTERVALS;

export const AT_ONCE = 500;

export async function candlesOf(pair: { asset: string; currency: string }, interval: Interval, to?: number): Promise<CandleAnswer[]> {
  const answer = await get("/api/v1/candles/{asset}/{currency}", {
    path: { ...pair },
    query: { interval, limit: AT_ONCE, ...(to === undefined ? {} : { to: String(to) }) },
  });
  return answer.items;
}

/** The last candle with one more price seen, or the candle that this price begins. */
export function withPrice(last: CandleAnswer | undefined, seen: { price: number; at: number; volume: number | null }, interval: number): CandleAnswer {
  const start = seen.at - (seen.at % interval);
  if (!last || start > last.start_ms) {
    return {
      start_ms: start,
      open: seen.price,
      high: seen.price,
      low: seen.price,
      close: seen.price,
      volume_24h: seen.volume,
      ticks: 1,
      observed_ms: 0,
      complete: false,
    };
  }
  return {
    ...last,
    high: Math.max(last.high, seen.price),
    low: Math.min(last.low, seen.price),
    close: seen.price,
    volume_24h: seen.volume,
    ticks: last.ticks + 1,
  };
}

/** A candle, or the beginning of one that is missing. */
export type Slot = CandleAnswer | number;

export const startOf = (slot: Slot): number => (typeof slot === "number" ? slot : slot.start_ms);

const MOST_BLANKS = 5_000;

/** The candles, and the beginnings of those that are missing between them. */
export function slotsOf(candles: CandleAnswer[], interval: number): Slot[] {
  const slots: Slot[] = [];
  let blanks = 0;
  let next = candles[0]?.start_ms ?? 0;
  for (const candle of candles) {
    for (; next < candle.start_ms && blanks < MOST_BLANKS; next += interval, blanks++) slots.push(next);
    slots.push(candle);
    next = candle.start_ms + interval;
  }
  return slots;
}

/** How a candle was seen: watched for most of it, for a part, only told by a source afterwards, or not at all. */
export type Sight = "watched" | "partly" | "told" | "nothing";

const MOST_OF_IT = 0.8; // of a candle's time; the same as on the map of coverage
const A_LITTLE = 0.1;

export function sightOf(slot: Slot, interval: number): Sight {
  if (typeof slot === "number") return "nothing";
  if (!slot.complete || slot.observed_ms >= interval * MOST_OF_IT) return "watched";
  return slot.observed_ms >= interval * A_LITTLE ? "partly" : "told";
}

export interface Stretch {
  sight: Exclude<Sight, "watched">;
  from: number;
  to: number;
}

/** Where the pair was not watched as it should be, newest first. */
export function unseenOf(candles: CandleAnswer[], interval: number): Stretch[] {
  const found: Stretch[] = [];
  for (const slot of slotsOf(candles, interval)) {
    const [sight, from] = [sightOf(slot, interval), startOf(slot)];
    if (sight === "watched") continue;
    const last = found.at(-1);
    if (last?.sight === sight && last.to === from) last.to = from + interval;
    else found.push({ sight, from, to: from + interval });
  }
  return found.reverse();
}
