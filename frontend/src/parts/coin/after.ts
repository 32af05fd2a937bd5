// What the price did after an alert, in short words.
import type { AlertInList, AlertWithOutcomes, OutcomeAnswer } from "../../api/schema";
import { percent } from "../../lib/format";

export type Happened = AlertInList & Partial<Pick<AlertWithOutcomes, "outcomes">>;

const NAMES: Record<number, string> = { 3_600_000: "1 h", 86_400_000: "24 h", 604_800_000: "7 d" };

export const afterName = ({ after_ms }: OutcomeAnswer): string => NAMES[after_ms] ?? "";

export function afterWords(outcome: OutcomeAnswer): string {
  if (outcome.state === "known") return percent(outcome.move);
  return outcome.state === "waiting" ? "not yet known" : "not known";
}

const DAY = 86_400_000;

/** Of a signal: whether following it was worth something a day later. Null: not known (yet), or no signal. */
export function cameTrue(alert: Pick<Happened, "advice" | "outcomes">): boolean | null {
  const worth = alert.outcomes?.find(({ after_ms }) => after_ms === DAY)?.worth;
  return worth === undefined || worth === null ? null : worth > 0;
}
