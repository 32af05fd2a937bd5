// Quiet hours as stretches of one day. The program reads them: src/cryptowatcher/domain/hours.py; this is for a picture.

export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
const SPAN = /^(?:([a-z]{3}(?:[-,][a-z]{3})*)\s+)?(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})(?:\s+\S+)?$/i;

/** Minutes of the day. */
export interface Stretch {
  begin: number;
  end: number;
}

/** What is quiet on that day (0 is Monday), in minutes; null when it cannot be read. */
export function quietOn(text: string, day: number): Stretch[] | null {
  const found: Stretch[] = [];
  for (const part of text.split(";").map((each) => each.trim()).filter(Boolean)) {
    const match = SPAN.exec(part);
    if (!match) return null;
    const [, days = "", ...numbers] = match;
    const [h1 = 0, m1 = 0, h2 = 0, m2 = 0] = numbers.map(Number);
    const on = daysOf(days.toLowerCase());
    const begin = h1 * 60 + m1;
    const end = h2 * 60 + m2;
    if (begin < end && on.has(day)) found.push({ begin, end });
    if (begin >= end && on.has(day)) found.push({ begin, end: 1440 });
    if (begin >= end && on.has((day + 6) % 7) && end) found.push({ begin: 0, end });
  }
  return found.toSorted((a, b) => a.begin - b.begin);
}

function daysOf(text: string): Set<number> {
  const days: readonly string[] = DAYS;
  if (!text) return new Set(days.keys());
  const on = new Set<number>();
  for (const part of text.split(",")) {
    const [first = "", last = first] = part.split("-");
    const from = days.indexOf(first);
    const many = ((days.indexOf(last) - from + 7) % 7) + 1;
    for (let i = 0; i < many; i++) on.add((from + i) % 7);
  }
  return on;
}

/** The clock on the wall of a place: 0 is Monday, and the minute of the day. */
export function wall(ms: number, zone: string): { day: number; minute: number } {
  const parts = new Intl.DateTimeFormat("en-US", { timeZone: zone, weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).formatToParts(ms);
  const of = (type: string) => parts.find((part) => part.type === type)?.value ?? "";
  return { day: (DAYS as readonly string[]).indexOf(of("weekday").toLowerCase()), minute: Number(of("hour")) * 60 + Number(of("minute")) };
}
