// The coverage of many pairs as one picture: a row a pair, a column a stretch of time.
import type { Coverage } from "../../api/schema";

const TALLEST = 420;
const ROW = { least: 2, most: 14 };

export const LETTERS = {
  w: "watched", p: "watched partly", t: "told by the source afterwards", ".": "nothing is known",
} as const;
export type Letter = keyof typeof LETTERS;
export const LETTERS_IN_ORDER = Object.keys(LETTERS) as Letter[];

const COLOURS: Record<Letter, string> = { w: "--seen", p: "--partly", t: "--told", ".": "--unknown" };

/** When the first cell begins of which anything is known; null when nothing is, or all of it. */
export function knownFrom(coverage: Coverage): number | null {
  const first = Math.min(...coverage.cells.map((cells) => cells.search(/[^.]/)).filter((at) => at >= 0));
  return Number.isFinite(first) && first > 0 ? coverage.from_ms + first * coverage.step_ms : null;
}

/** How many pairs fit, and how high each row is. */
export function rows(count: number): { shown: number; height: number } {
  const height = Math.max(ROW.least, Math.min(ROW.most, Math.floor(TALLEST / Math.max(count, 1))));
  return { shown: Math.min(count, Math.floor(TALLEST / height)), height };
}

export function draw(canvas: HTMLCanvasElement, coverage: Coverage, width: number): void {
  const { shown, height } = rows(coverage.pairs.length);
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(shown * height * ratio);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(ratio, ratio);
  const colours = Object.fromEntries(LETTERS_IN_ORDER.map((letter) => [letter, colour(canvas, COLOURS[letter])]));
  const gap = height > 4 ? 1 : 0;
  for (let row = 0; row < shown; row++) {
    const cells = coverage.cells[row] ?? "";
    const step = width / cells.length;
    for (let from = 0, to = 0; from < cells.length; from = to) {
      while (to < cells.length && cells[to] === cells[from]) to++;
      context.fillStyle = colours[cells[from] as Letter] ?? "";
      context.fillRect(from * step, row * height, (to - from) * step, height - gap);
    }
  }
}

/** A colour of the sheet, as canvases understand it. */
function colour(element: HTMLElement, name: string): string {
  const probe = element.parentElement!.appendChild(document.createElement("i"));
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** What lies under a point of the picture. */
export function under(coverage: Coverage, width: number, x: number, y: number) {
  const { shown, height } = rows(coverage.pairs.length);
  const row = Math.floor(y / height);
  const cells = coverage.cells[row];
  const pair = coverage.pairs[row];
  if (row < 0 || row >= shown || !cells || !pair) return null;
  const at = Math.max(0, Math.min(cells.length - 1, Math.floor((x / width) * cells.length)));
  const from = coverage.from_ms + at * coverage.step_ms;
  return { pair, from, to: Math.min(from + coverage.step_ms, coverage.at_ms), letter: cells[at] as Letter };
}
