// What a rule looks at, and the prices in its text: where they stand, and the text with another price in its place.
import type { RuleAnswer, RuleInList } from "../api/schema";
import { nameOf } from "./format";
import { lists } from "./lists.svelte";

/** A price in a rule's condition, which can be drawn as a line. */
export interface Threshold {
  rule: RuleAnswer;
  title: string;
  price: number;
  /** Where it stands in the condition, in characters. */
  at: number;
  length: number;
}

const NUMBER = "(?:\\d[\\d_]*(?:\\.(?:\\d[\\d_]*)?)?|\\.\\d[\\d_]*)(?:e[+-]?\\d+)?";
const AFTER = "(?![\\w.%]|\\s*[%*/+-])"; // not a part of something larger
const BEFORE = "(?<![*/+-]\\s*)(?<![\\w.])";
const COMPARED = new RegExp(
  `${BEFORE}price\\s*(?:>=|<=|>|<|crosses\\s+(?:above|below))\\s*(${NUMBER})${AFTER}|` +
    `${BEFORE}(${NUMBER})\\s*(?:>=|<=|>|<)\\s*price\\b(?!\\s*[*/+(-])`,
  "gi",
);

/** The prices that a condition compares the price with. */
export function pricesIn(when: string): { price: number; at: number; length: number }[] {
  return [...when.matchAll(COMPARED)]
    .map((found) => {
      const text = found[1] ?? found[2] ?? "";
      const at = found.index + (found[1] === undefined ? 0 : found[0].length - text.length);
      return { price: Number(text.replaceAll("_", "")), at, length: text.length };
    })
    .filter(({ price }) => price > 0);
}

/** The lines of rules that look at this pair alone. Of others a number is no price of this pair. */
export function thresholdsOf(rules: RuleAnswer[], pair: string): Threshold[] {
  return rules
    .filter(({ spec }) => spec.pairs.length === 1 && spec.pairs[0] === pair && !spec.paused)
    .flatMap((rule) => pricesIn(rule.spec.when).map((found) => ({ ...found, rule, title: rule.spec.name })));
}

/** The condition with another price in that place; all else stays as it is, to the character. */
export function withPrice(when: string, place: { at: number; length: number }, price: number): string {
  return when.slice(0, place.at) + plainly(price) + when.slice(place.at + place.length);
}

/** As conditions have numbers: all digits that count, and no more. */
export function plainly(price: number): string {
  const text = String(Number(price.toPrecision(12)));
  return text.replace("e+", "e");
}

/** A price as exact as the eye is: a thousandth of what is seen. */
export function roundly(price: number, seen: number): number {
  const step = 10 ** Math.floor(Math.log10(Math.max(seen, Number.MIN_VALUE) / 500));
  return Number((Math.round(price / step) * step).toPrecision(12));
}

/** What a rule is on, as people say it. */
export function pairsInWords(pairs: string[]): string {
  const [first = ""] = pairs;
  if (first === "all") return "All coins";
  const top = /^top\(\s*(\d+)\s*\)$/.exec(first);
  if (top) return `The ${top[1]} largest`;
  const list = /^list\(\s*(.*?)\s*\)$/.exec(first);
  if (list) return `List ${list[1]}`;
  const cut = first.lastIndexOf("/");
  const named = first.endsWith("/usd") ? nameOf(first.slice(0, cut)) : `${nameOf(first.slice(0, cut))} in ${first.slice(cut + 1).toUpperCase()}`;
  return pairs.length > 1 ? `${named} and ${pairs.length - 1} more` : named;
}

/** Whether a rule looks at a pair, as far as its text tells: `top(n)` may. */
export function looksAt(pairs: string[], pair: string): boolean {
  return pairs.some((named) => {
    const list = /^list\(\s*(.*?)\s*\)$/.exec(named)?.[1];
    return named === pair || named === "all" || named.startsWith("top(") || (list && lists.named(list)?.pairs.includes(pair));
  });
}

/** The pairs that a rule names; none where the market says. */
export function namedPairs(pairs: string[]): string[] {
  const list = /^list\(\s*(.*?)\s*\)$/.exec(pairs[0] ?? "")?.[1];
  if (list) return lists.named(list)?.pairs ?? [];
  return pairs.filter((pair) => pair !== "all" && !pair.startsWith("top("));
}

export type StateNow = RuleInList["state"];

/** In the order in which a reader wants to know. */
export const STATES: Record<StateNow, { title: string; look: "good" | "busy" | "calm" | "off" | "bad"; help: string }> = {
  broken: { title: "Cannot work", look: "bad", help: "something it needs is not there" },
  holding: { title: "Holding", look: "busy", help: "its condition is so, and must stay so for a while" },
  cooling: { title: "Cooling down", look: "calm", help: "it fired, and is silent for a while" },
  rearming: { title: "Waits to re-arm", look: "calm", help: "its condition is so already; it fires again after it was over" },
  watching: { title: "Watching", look: "good", help: "its condition is not so now" },
  unknown: { title: "Nothing known yet", look: "calm", help: "what it looks at was not observed yet" },
  snoozed: { title: "Snoozed", look: "off", help: "its alerts are recorded and not sent" },
  paused: { title: "Paused", look: "off", help: "it is not judged" },
  done: { title: "Done", look: "off", help: "it was to fire once, and did" },
  expired: { title: "Ended", look: "off", help: "its end has come" },
};

export const ORIGINS = { owner: "Made here", config: "Configuration file", default: "Came with the program" } as const;

/** What may not be done to rules of the file, and why. */
export const OF_THE_FILE = "It stands in the configuration file: change it there. What is changed here holds until the next start.";

/** `1 rule`, `2 rules`. */
export const counted = (count: number, thing: string) => `${count.toLocaleString("en-US")} ${thing}${count === 1 ? "" : "s"}`;
