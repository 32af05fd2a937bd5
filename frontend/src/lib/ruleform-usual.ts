// The usual rules: a condition with blanks that are filled in, and read back from a condition that is one of them.
import type { IconName } from "../parts/Icon.svelte";

export type Kind = "price" | "percent" | "number" | "count" | "window" | "interval" | "average";

export interface Blank {
  name: string;
  label: string;
  kind: Kind;
  /** What stands there at first. Prices are made from the coin's own: times this. */
  first: string;
}

export interface Usual {
  id: string;
  title: string;
  help: string;
  icon: IconName;
  /** Ways to mean it, each a condition with the names of blanks in braces. */
  ways: { label: string; when: string }[];
  blanks: Blank[];
}

/** A usual rule filled in: which way, and what stands in its blanks. */
export interface Filled {
  usual: Usual;
  way: number;
  values: Record<string, string>;
}

const size = (first: string, label = "By at least"): Blank => ({ name: "size", label, kind: "percent", first });
const window = (first: string, label = "Within"): Blank => ({ name: "window", label, kind: "window", first });
const interval = (first = "1h"): Blank => ({ name: "interval", label: "Candles of", kind: "interval", first });
const count = (name: string, label: string, first: string): Blank => ({ name, label, kind: "count", first });
const average: Blank = { name: "average", label: "Average", kind: "average", first: "ema" };

export const USUAL: Usual[] = [
  {
    id: "price", title: "A price", help: "It reaches a price you name.", icon: "target",
    ways: [
      { label: "rises to", when: "price {above} {price}" },
      { label: "falls to", when: "price {below} {price}" },
    ],
    blanks: [{ name: "price", label: "Price", kind: "price", first: "1.05" }],
  },
  {
    id: "change", title: "A move", help: "It moves by some percent within a time.", icon: "chart",
    ways: [
      { label: "either way", when: "abs(change({window})) {above} {size}%" },
      { label: "up", when: "change({window}) {above} {size}%" },
      { label: "down", when: "change({window}) {below} -{size}%" },
    ],
    blanks: [size("2"), window("1h")],
  },
  {
    id: "unusual", title: "An unusual move", help: "Far more than this coin usually moves: each coin by its own measure.", icon: "pulse",
    ways: [
      { label: "either way", when: "abs(change({interval})) {above} {times} * volatility({window}, {interval})" },
      { label: "up", when: "change({interval}) {above} {times} * volatility({window}, {interval})" },
      { label: "down", when: "change({interval}) {below} -{times} * volatility({window}, {interval})" },
    ],
    blanks: [
      { name: "times", label: "Times the usual size", kind: "number", first: "4" },
      { name: "interval", label: "Of a move within", kind: "interval", first: "1h" },
      window("7d", "Usual: over the last"),
    ],
  },
  {
    id: "extreme", title: "A new high or low", help: "The highest or lowest price for a while.", icon: "upload",
    ways: [
      { label: "a new high", when: "price >= high({window})" },
      { label: "a new low", when: "price <= low({window})" },
    ],
    blanks: [window("30d", "Of the last")],
  },
  {
    id: "band", title: "A band", help: "It leaves a range of prices, or comes into it.", icon: "sliders",
    ways: [
      { label: "leaves", when: "price < {low} or price > {high}" },
      { label: "comes into", when: "price > {low} and price < {high}" },
    ],
    blanks: [
      { name: "low", label: "From", kind: "price", first: "0.95" },
      { name: "high", label: "To", kind: "price", first: "1.05" },
    ],
  },
  {
    id: "drawdown", title: "Back from a peak", help: "Down from its highest, or up from its lowest.", icon: "back",
    ways: [
      { label: "below its highest", when: "drawdown({window}) {above} {size}%" },
      { label: "above its lowest", when: "rally({window}) {above} {size}%" },
    ],
    blanks: [size("10"), window("7d", "Of the last")],
  },
  {
    id: "steps", title: "Every so many percent", help: "Again and again, each time counted from the last alert.", icon: "again",
    ways: [
      { label: "either way", when: "abs(change_since_alert({price})) {above} {size}%" },
      { label: "up", when: "change_since_alert({price}) {above} {size}%" },
      { label: "down", when: "change_since_alert({price}) {below} -{size}%" },
    ],
    blanks: [size("5", "Every"), { name: "price", label: "At first from", kind: "price", first: "1" }],
  },
  {
    id: "volume", title: "Much is traded", help: "Far more volume than usual.", icon: "tiles",
    ways: [{ label: "24 h volume", when: "volume {above} {times} * average(volume, {window})" }],
    blanks: [{ name: "times", label: "Times its average", kind: "number", first: "3" }, window("7d", "Of the last")],
  },
  {
    id: "rsi", title: "RSI", help: "Bought or sold for too long.", icon: "pulse",
    ways: [
      { label: "oversold: falls to", when: "rsi({n}, {interval}) {below} {level}" },
      { label: "overbought: rises to", when: "rsi({n}, {interval}) {above} {level}" },
    ],
    blanks: [{ name: "level", label: "RSI", kind: "number", first: "30" }, interval(), count("n", "Of how many", "14")],
  },
  {
    id: "averages", title: "Averages cross", help: "A fast average passes a slow one.", icon: "filter",
    ways: [
      { label: "upwards", when: "{average}({fast}, {interval}) crosses above {average}({slow}, {interval})" },
      { label: "downwards", when: "{average}({fast}, {interval}) crosses below {average}({slow}, {interval})" },
    ],
    blanks: [count("fast", "Fast, of", "12"), count("slow", "Slow, of", "26"), interval(), average],
  },
  {
    id: "average", title: "Price and average", help: "The price passes its own average.", icon: "filter",
    ways: [
      { label: "upwards", when: "price crosses above {average}({n}, {interval})" },
      { label: "downwards", when: "price crosses below {average}({n}, {interval})" },
    ],
    blanks: [count("n", "Average of", "200"), interval(), { ...average, first: "sma" }],
  },
  {
    id: "bollinger", title: "Bollinger bands", help: "Outside of where it usually is.", icon: "sliders",
    ways: [
      { label: "to the upper", when: "price {above} bollinger_upper({n}, {k}, {interval})" },
      { label: "to the lower", when: "price {below} bollinger_lower({n}, {k}, {interval})" },
    ],
    blanks: [count("n", "Of how many", "20"), { name: "k", label: "Deviations", kind: "number", first: "2" }, interval()],
  },
  {
    id: "macd", title: "MACD", help: "The MACD passes its signal line.", icon: "chart",
    ways: [
      { label: "upwards", when: "macd({fast}, {slow}, {signal}, {interval}) crosses above macd_signal({fast}, {slow}, {signal}, {interval})" },
      { label: "downwards", when: "macd({fast}, {slow}, {signal}, {interval}) crosses below macd_signal({fast}, {slow}, {signal}, {interval})" },
    ],
    blanks: [count("fast", "Fast", "12"), count("slow", "Slow", "26"), count("signal", "Signal", "9"), interval()],
  },
  {
    id: "peg", title: "Off its peg", help: "A stablecoin that is not worth what it should be.", icon: "warning",
    ways: [{ label: "away from", when: "abs(price - {peg}) {above} {size}%" }],
    blanks: [{ name: "peg", label: "Peg", kind: "number", first: "1" }, size("0.5")],
  },
];

/** How a comparison is written is kept as it was: it changes what fires. */
const SIDES: Record<string, string> = { above: ">=", below: "<=" };
const NUMBER = String.raw`\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?`;
const DURATION = String.raw`(?:\d+(?:ms|s|m|h|d|w))+`;
const PATTERNS: Record<string, string> = {
  above: ">=|>|crosses\\s+above",
  below: "<=|<|crosses\\s+below",
  price: NUMBER, percent: NUMBER, number: NUMBER, count: "\\d+", window: DURATION, interval: "1m|5m|1h|1d", average: "ema|sma",
};

/** The condition. Numbers may be typed with commas and blanks. */
export function written({ usual, way, values }: Filled): string {
  return (usual.ways[way]?.when ?? "").replaceAll(/\{(\w+)\}/g, (_, name: string) => bare(values[name] ?? SIDES[name] ?? ""));
}

const bare = (typed: string) => typed.trim().replaceAll(/(?<=\d)[ _](?=\d)/g, "").replaceAll(/,(?=\d{3}(?!\d))/g, "");

/** The blanks that are still empty. */
export function missing({ usual, values }: Filled): Blank[] {
  return usual.blanks.filter(({ name }) => !values[name]?.trim());
}

/** A usual rule as it stands at first; prices from the coin's own. */
export function fresh(usual: Usual, way: number, price: number | undefined): Filled {
  const first = ({ kind, first }: Blank) => (kind !== "price" ? first : price ? rounded(price * Number(first)) : "");
  const values = Object.fromEntries(usual.blanks.map((blank) => [blank.name, first(blank)]));
  if (usual.id === "rsi" && way === 1) values.level = "70";
  return { usual, way, values };
}

/** Three digits, written out. */
export function rounded(price: number, digits = 3): string {
  const short = Number(price.toPrecision(digits));
  return short >= 1e-6 ? short.toLocaleString("en-US", { useGrouping: false, maximumFractionDigits: 12 }) : String(short);
}

/** The usual rule that a condition is; null for any other. What it writes is the condition again. */
export function read(when: string): Filled | null {
  for (const usual of USUAL) {
    for (const [way, { when: pattern }] of usual.ways.entries()) {
      const found = compiled(usual, pattern).exec(when.trim());
      if (found) return { usual, way, values: { ...found.groups } };
    }
  }
  return null;
}

const cache = new Map<string, RegExp>();

/** Blanks between words and signs are as the reader likes them. */
function compiled(usual: Usual, pattern: string): RegExp {
  const known = cache.get(pattern);
  if (known) return known;
  const named = new Set<string>();
  const pieces = [...pattern.matchAll(/\{(\w+)\}|[\w]+|[^\s\w]/g)].map(([piece, name]) => {
    if (!name) return piece.replace(/\W/, "\\$&");
    if (named.has(name)) return `\\k<${name}>`;
    named.add(name);
    const kind = usual.blanks.find((blank) => blank.name === name)?.kind ?? name;
    return `(?<${name}>${PATTERNS[kind]})`;
  });
  const made = new RegExp(`^${pieces.join("\\s*")}$`, "i");
  cache.set(pattern, made);
  return made;
}
