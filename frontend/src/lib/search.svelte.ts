// What the reader looks for: words of a coin's name or id.
import { market, type Row } from "./market.svelte";

class Search {
  text: string = $state("");

  get wanted(): string {
    return this.text.trim().toLowerCase();
  }

  matches(row: Row): boolean {
    const wanted = this.wanted;
    return !wanted || row.pair.includes(wanted) || row.name.toLowerCase().includes(wanted);
  }

  /** What Enter opens: the largest whose name begins so, else the largest that has it. */
  best(): Row | undefined {
    const wanted = this.wanted;
    if (!wanted) return undefined;
    const found = market.rows.filter((row) => this.matches(row)).toSorted((a, b) => (b.cap ?? 0) - (a.cap ?? 0));
    return found.find((row) => row.asset.startsWith(wanted)) ?? found[0];
  }
}

export const search = new Search();
