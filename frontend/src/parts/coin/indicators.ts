// What can be drawn besides the candles, and what this browser remembers of it. The numbers are the language's own:
// `{c}` stands for the length of the candles that are shown, `{20c}` for twenty of them.
import { remember, remembered } from "../../lib/theme.svelte";
import { PALETTE } from "./colours";

export interface Value {
  text: string;
  /** Said after the indicator's name, where it has several values. */
  name: string;
  bars?: boolean;
}

export interface Kind {
  title: string;
  short: string;
  help: string;
  /** Over the candles or the volume, or in a pane of its own. Of what a reader writes, the unit decides. */
  pane: "price" | "volume" | "own";
  numbers: { label: string; value: number; least: number; most: number }[];
  values: (numbers: number[]) => Value[];
}

const count = (label: string, value: number, most = 250, least = 2) => ({ label, value, least, most });

export const KINDS: Record<string, Kind> = {
  sma: {
    title: "Average (SMA)",
    short: "SMA",
    help: "The mean of the last closes",
    pane: "price",
    numbers: [count("Candles", 20, 900)],
    values: ([n]) => [{ text: `sma(${n}, {c})`, name: "" }],
  },
  ema: {
    title: "Exponential average (EMA)",
    short: "EMA",
    help: "A mean in which newer closes weigh more",
    pane: "price",
    numbers: [count("Candles", 20)],
    values: ([n]) => [{ text: `ema(${n}, {c})`, name: "" }],
  },
  bollinger: {
    title: "Bollinger bands",
    short: "Bollinger",
    help: "The average, and some deviations above and below it",
    pane: "price",
    numbers: [count("Candles", 20, 900), count("Deviations", 2, 10, 1)],
    values: ([n, k]) => [
      { text: `bollinger_upper(${n}, ${k}, {c})`, name: "upper" },
      { text: `sma(${n}, {c})`, name: "middle" },
      { text: `bollinger_lower(${n}, ${k}, {c})`, name: "lower" },
    ],
  },
  channel: {
    title: "High and low",
    short: "High/low",
    help: "The highest and the lowest price of so many candles",
    pane: "price",
    numbers: [count("Candles", 20, 500)],
    values: ([n]) => [
      { text: `high({${n}c})`, name: "high" },
      { text: `low({${n}c})`, name: "low" },
    ],
  },
  rsi: {
    title: "Relative strength (RSI)",
    short: "RSI",
    help: "From 0 to 100: how much of the moves went up",
    pane: "own",
    numbers: [count("Candles", 14)],
    values: ([n]) => [{ text: `rsi(${n}, {c})`, name: "" }],
  },
  macd: {
    title: "MACD",
    short: "MACD",
    help: "How far a quick average is from a slow one",
    pane: "own",
    numbers: [count("Quick", 12), count("Slow", 26, 250, 3), count("Signal", 9)],
    values: ([quick, slow, signal]) => [
      { text: `macd_histogram(${quick}, ${slow}, ${signal}, {c})`, name: "histogram", bars: true },
      { text: `macd(${quick}, ${slow}, ${signal}, {c})`, name: "line" },
      { text: `macd_signal(${quick}, ${slow}, ${signal}, {c})`, name: "signal" },
    ],
  },
  stochastic: {
    title: "Stochastic",
    short: "Stochastic",
    help: "From 0 to 100: where the close lies between low and high",
    pane: "own",
    numbers: [count("Candles", 14, 500), count("Smoothed by", 3, 100)],
    values: ([n, m]) => [
      { text: `stochastic_k(${n}, {c})`, name: "%K" },
      { text: `stochastic_d(${n}, ${m}, {c})`, name: "%D" },
    ],
  },
  atr: {
    title: "Average true range (ATR)",
    short: "ATR",
    help: "How far the price goes within one candle",
    pane: "own",
    numbers: [count("Candles", 14)],
    values: ([n]) => [{ text: `atr(${n}, {c})`, name: "" }],
  },
  zscore: {
    title: "Z-score",
    short: "Z-score",
    help: "How many usual deviations the price is away from its mean",
    pane: "own",
    numbers: [count("Candles", 48, 500, 10)],
    values: ([n]) => [{ text: `zscore({${n}c})`, name: "" }],
  },
  volatility: {
    title: "Volatility",
    short: "Volatility",
    help: "The usual size of an hour's move",
    pane: "own",
    numbers: [count("Days", 7, 90, 1)],
    values: ([n]) => [{ text: `volatility(${n}d)`, name: "" }],
  },
  volume: {
    title: "Average of the 24 h volume",
    short: "Volume average",
    help: "Over the volume's bars",
    pane: "volume",
    numbers: [count("Days", 7, 90, 1)],
    values: ([n]) => [{ text: `average(volume, ${n}d)`, name: "" }],
  },
};

/** One that was chosen: a kind with its numbers, or what a reader wrote. */
export interface Indicator {
  kind: string;
  numbers: number[];
  text?: string;
}

const NAME = "indicators";
export const MOST = 8;

export function valuesOf(indicator: Indicator): Value[] {
  return KINDS[indicator.kind]?.values(indicator.numbers) ?? [{ text: indicator.text ?? "", name: "" }];
}

export function titleOf({ kind, numbers, text }: Indicator): string {
  const known = KINDS[kind];
  return known ? `${known.short} ${numbers.join(" ")}` : (text ?? "");
}

/** A value's text for candles of so many ms. */
export const written = (text: string, interval: number): string =>
  text.replaceAll(/\{(\d*)c\}/g, (_, n: string) => duration(Number(n || 1) * interval));

function duration(ms: number): string {
  const minutes = ms / 60_000;
  if (minutes % 1440 === 0) return `${minutes / 1440}d`;
  return minutes % 60 === 0 ? `${minutes / 60}h` : `${minutes}m`;
}

export const colourOf = (place: number): string => PALETTE[place % PALETTE.length] ?? PALETTE[0];

export function keep(indicators: Indicator[]): void {
  remember(NAME, indicators.length ? JSON.stringify(indicators) : null);
}

export function kept(): Indicator[] {
  try {
    const found: unknown = JSON.parse(remembered(NAME) ?? "[]");
    return Array.isArray(found) ? found.filter(isIndicator).slice(0, MOST) : [];
  } catch {
    return [];
  }
}

/** Another version of this page may have kept something else. */
function isIndicator(found: Partial<Indicator> | null): found is Indicator {
  if (!found || !Array.isArray(found.numbers) || !found.numbers.every(Number.isFinite)) return false;
  const kind = KINDS[found.kind ?? ""];
  return kind ? kind.numbers.length === found.numbers.length : found.kind === "own" && typeof found.text === "string";
}
