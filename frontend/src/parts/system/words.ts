// What the numbers of the system's page say in words.
import type { Duration, SystemAnswer, Verdict } from "../../api/schema";
import { age, moment, time } from "../../lib/format";

/** A time of today by the clock alone. */
export function when(ms: number, now: number): string {
  return new Date(ms).toDateString() === new Date(now).toDateString() ? time(ms) : moment(ms);
}

export type Mood = "good" | "warn" | "bad";

const MOODS: Record<Verdict["kind"], Mood> = {
  watched: "good", starting: "warn", limited: "warn", unsent: "warn", room: "warn", pairs_blind: "warn",
  blind: "bad", silent: "bad", broken: "bad",
};

export const mood = (verdict: Verdict): Mood => MOODS[verdict.kind];

/** The one sentence on top. */
export function sentence(verdict: Verdict, now: number): string {
  const since = verdict.since_ms == null ? "" : ` since ${when(verdict.since_ms, now)}`;
  switch (verdict.kind) {
    case "watched": return "Everything is watched";
    case "starting": return "No prices have come yet";
    case "limited": return `All prices still count, but no new ones come${since}`;
    case "unsent": return `Messages wait${since}`;
    case "room": return `Only ${bytes(verdict.count ?? 0)} are left on the disk`;
    case "pairs_blind": return `${pairs(verdict.count ?? 0)} cannot be seen${since}`;
    case "blind": return `No price is current${since}`;
    case "silent": return `The pipeline does not answer${since}`;
    case "broken": return "The watcher does not watch as it should";
  }
}

export const pairs = (count: number) => (count === 1 ? "1 pair" : `${count.toLocaleString("en-US")} pairs`);

/** What else is to be said of it where all is well. */
export function aside(now: SystemAnswer): string {
  if (now.verdict.kind !== "watched") return now.verdict.detail;
  const left = now.left ? ` ${pairs(now.left)} left their list and are watched no more.` : "";
  return `${pairs(now.current)} have a price that counts.${left}`;
}

/** Seconds as people say them: 5 ms, 1.5 s, 2 min. */
export function seconds(value: number): string {
  if (value < 1) return `${Number((value * 1000).toPrecision(2))} ms`;
  return value < 60 ? `${Number(value.toPrecision(2))} s` : age(value * 1000);
}

/** An edge of a histogram: nearly all were below it. */
export const within = (edge: number | null) => (edge === null ? "longer" : `≤ ${seconds(edge)}`);

export const usual = (duration: Duration | null) => (duration ? within(duration.p50) : "–");
export const worst = (duration: Duration | null) => (duration ? within(duration.p99) : "–");

export function bytes(size: number): string {
  for (const [unit, letters] of [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"]] as const)
    if (size >= unit) return `${Number((size / unit).toPrecision(3))} ${letters}`;
  return `${size} bytes`;
}

/** Stable words of the program, to be read by people. */
export const plain = (word: string) => word.replaceAll("_", " ");

/** `57 ok, 3 rate limited`. */
export function tally(counts: Record<string, number>): string {
  return Object.entries(counts).map(([word, count]) => `${count.toLocaleString("en-US")} ${plain(word)}`).join(", ");
}
