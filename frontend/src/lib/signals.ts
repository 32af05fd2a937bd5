// Scores of rules that say buy or sell, in words.
import type { ScoreAnswer, ScoredRule } from "../api/schema";

export const HOUR = 3_600_000;

export interface Horizon {
  ms: number;
  name: string;
  words: string;
}

/** After how long signals are scored. */
export const HORIZONS: Horizon[] = [
  { ms: HOUR, name: "1 h", words: "an hour" },
  { ms: 24 * HOUR, name: "24 h", words: "a day" },
  { ms: 168 * HOUR, name: "7 d", words: "a week" },
];

export type Verdict = "good" | "bad" | "open";

export function scoreAt(rule: ScoredRule | undefined, horizon: number): ScoreAnswer | undefined {
  return rule?.scores.find((score) => score.horizon_ms === horizon);
}

/** `good` only where it beat random moments and earned more than its fees. */
export function verdictOf(score: ScoreAnswer | undefined): Verdict {
  if (!score || score.beats_random === null || score.beats_random === undefined) return "open";
  return score.beats_random && (score.mean_after_fees ?? 0) > 0 ? "good" : "bad";
}

/** Half the width of the range in which the true mean lies, 95 times of 100, by how much signals differ that do not overlap. */
export function spread(score: ScoreAnswer): number | null {
  const { mean, holding, clearness, apart } = score;
  if (!clearness || mean === null || holding === null || apart < 2) return null;
  return Math.abs(((mean ?? 0) - (holding ?? 0)) / clearness) * 2;
}
