// Until when a rule is silent, as the API is told.

/** A moment as rules are told of it: UTC, to the minute. */
export const told = (ms: number) => `${new Date(ms).toISOString().slice(0, 16)}Z`;

/** Eight in the morning of the next day, where the reader is. */
export function untilTomorrow(now: Date = new Date()): string {
  return told(new Date(now.getFullYear(), now.getMonth(), now.getDate() + 1, 8).getTime());
}
