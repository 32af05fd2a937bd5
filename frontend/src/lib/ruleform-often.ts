// How often a week is, in words; and the places of a slider over it: each about half as much again as the one before.

export const PLACES = [0.1, 0.25, 0.5, 1, 2, 3, 5, 7, 10, 14, 21, 35, 70, 140];

/** "about 3 a week", "about once in 2 weeks", "about 5 a day". */
export function often(aWeek: number): string {
  if (aWeek >= 10.5) return `about ${short(aWeek / 7)} a day`;
  if (aWeek >= 1.4) return `about ${short(aWeek)} a week`;
  if (aWeek >= 0.75) return "about once a week";
  if (aWeek > 0) return `about once in ${short(1 / aWeek)} weeks`;
  return "never";
}

const short = (value: number) => String(Number(value.toPrecision(value < 10 ? 1 : 2)));

/** The place that is nearest, on a scale of doublings. */
export function placeOf(aWeek: number): number {
  const away = (place: number) => Math.abs(Math.log((PLACES[place] ?? 1) / Math.max(aWeek, 0.05)));
  return PLACES.reduce((best, _, place) => (away(place) < away(best) ? place : best), 0);
}
