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
export function withPrice(last: CandleAnswer, seen: { price: number; at: number; volume: number | null }, interval: number): CandleAnswer {
  const start = seen.at - (seen.at % interval);
  if (start > last.start_ms) {
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
