// Which rules look at a pair, and where they can be drawn as lines.
import type { RuleAnswer } from "../api/schema";
import type { Line } from "./chart";

/** Rules that name the pair, or look at everything. */
export function rulesOf(rules: RuleAnswer[], pair: string): RuleAnswer[] {
  return rules.filter(({ spec }) => spec.pairs.some((named) => named === pair || named === "all" || named.startsWith("top(")));
}

const THRESHOLD = /\bprice\s*(?:>=|<=|>|<|crosses(?:\s+(?:above|below))?)\s*([0-9][0-9_,]*(?:\.[0-9]+)?)(?![0-9%])/g;

/** The prices that a rule compares with, if it is a rule of this pair alone. */
export function linesOf(rules: RuleAnswer[], pair: string): Line[] {
  return rules
    .filter(({ spec }) => spec.pairs.length === 1 && spec.pairs[0] === pair && !spec.paused)
    .flatMap(({ spec }) =>
      [...spec.when.matchAll(THRESHOLD)].map((found) => ({
        price: Number(found[1]?.replaceAll(/[_,]/g, "")),
        title: spec.name,
      })),
    )
    .filter(({ price }) => price > 0);
}
