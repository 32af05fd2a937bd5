// What an alert says, in plain words: from the numbers that were compared.
import type { AlertInList } from "../api/schema";
import { nameOf, number, percent, price } from "./format";

export const splitPair = (pair: string) => {
  const cut = pair.lastIndexOf("/");
  return { asset: pair.slice(0, cut), currency: pair.slice(cut + 1) };
};

const PRICE = /^\s*price\s*(?:[<>]=?|crosses\s+(?:above|below))\s*[-+.\w]+\s*$/i;
const CHANGE = /^\s*(?:abs\s*\(\s*)?change\s*\(\s*(\w+)\s*\)/i;
const LEFT = /^(.*?)\s*(?:[<>]=?|crosses\s+(?:above|below))/i;

export type Unit = "price" | "percent" | "number";

export function unitOf(condition: string): Unit {
  return PRICE.test(condition) ? "price" : condition.includes("%") ? "percent" : "number";
}

export function shown(value: number | null | undefined, unit: Unit, currency: string): string {
  if (value === null || value === undefined) return "unknown";
  if (unit === "price") return price(value, currency);
  return unit === "percent" ? percent(value) : number(value);
}

/** `rose above $64,000`, `fell 5.2 % within 5m`, `rsi(14, 1h) is 25.5`: to stand behind the coin's name. */
export function happened(alert: AlertInList): string {
  const { currency } = splitPair(alert.pair);
  if (alert.parts.length) return `at ${price(alert.price, currency)}: ${alert.rule_name}`;
  const unit = unitOf(alert.condition);
  if (unit === "price") return `${moved(alert)} ${price(alert.constant, currency)}`;
  const within = CHANGE.exec(alert.condition)?.[1];
  if (within) return `${alert.value < 0 ? "fell" : "rose"} ${percent(Math.abs(alert.value)).slice(1)} within ${within}`;
  const what = LEFT.exec(alert.condition)?.[1] ?? alert.condition;
  return `${what} is ${shown(alert.value, unit, currency)}`;
}

function moved({ value, constant, previous }: AlertInList): string {
  const above = value === constant ? (previous ?? value) < constant : value > constant;
  const side = above ? "above" : "below";
  const crossed = previous !== null && previous !== undefined && (above ? previous <= constant : previous >= constant);
  if (!crossed) return `is ${side}`;
  return value === constant ? `reached` : `${above ? "rose" : "fell"} ${side}`;
}

export const titleOf = (alert: AlertInList) => `${nameOf(splitPair(alert.pair).asset)} ${happened(alert)}`;

/** What is out of the ordinary about it, a few words each. */
export function remarks(alert: AlertInList): { word: string; why: string }[] {
  const found = [];
  if (alert.late) found.push({ word: "late", why: "Found while history was filled in: the watcher did not see it when it happened." });
  if (alert.kind === "gap") found.push({ word: "in a gap", why: "It happened some time while the pair was not observed." });
  if (alert.kind === "already") found.push({ word: "already true", why: "It was true when it could first be judged." });
  if (alert.suppressed) found.push({ word: `+${alert.suppressed} held back`, why: "The rule turned true so many times more since the alert before; its cooldown kept them back." });
  return found;
}
