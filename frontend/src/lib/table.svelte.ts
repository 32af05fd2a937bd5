// How the market is put in order, and who is shown.
import { lists } from "./lists.svelte";
import { market, type Row } from "./market.svelte";
import { search } from "./search.svelte";
import { remember, remembered } from "./theme.svelte";

export type Column = "name" | "price" | "change1h" | "change24h" | "change7d" | "volume" | "cap" | "age";
export type Look = "table" | "map";

const BY: Record<Column, (row: Row) => number | string | null> = {
  name: (row) => row.name,
  price: (row) => row.price,
  change1h: (row) => row.change1h,
  change24h: (row) => row.change24h,
  change7d: (row) => row.change7d,
  volume: (row) => row.volume,
  cap: (row) => row.cap,
  age: (row) => -row.observedAt,
};
const FIRST_UP: Column[] = ["name", "age"];
const EVERY = 2_000;

class Table {
  column: Column = $state("cap");
  falling: boolean = $state(true);
  /** The watchlist that is shown; null: all. */
  list: string | null = $state(null);
  look: Look = $state(remembered("look") === "map" ? "map" : "table");
  rows: Row[] = $state.raw([]);
  /** Rank by market capitalisation among all. */
  ranks: Map<Row, number> = $state.raw(new Map());

  sortBy(column: Column): void {
    if (column === this.column) this.falling = !this.falling;
    else [this.column, this.falling] = [column, !FIRST_UP.includes(column)];
    this.arrange();
  }

  show(look: Look): void {
    this.look = look;
    remember("look", look);
  }

  /** Put in order anew. Prices move all the time; rows that jump about all the time could not be read. */
  arrange(): void {
    const pairs = this.list === null ? null : new Set(lists.named(this.list)?.pairs);
    const shown = market.rows.filter((row) => (!pairs || pairs.has(row.pair)) && search.matches(row));
    this.rows = ordered(shown, BY[this.column], this.falling);
    this.ranks = new Map(ordered(market.rows, BY.cap, true).map((row, i) => [row, i + 1]));
  }

  start(): () => void {
    const timer = setInterval(() => document.hidden || this.arrange(), EVERY);
    return () => clearInterval(timer);
  }
}

/** Unknown values stand last, whichever way. */
function ordered(rows: Row[], by: (row: Row) => number | string | null, falling: boolean): Row[] {
  const keyed = rows.map((row) => ({ row, key: by(row) }));
  const way = falling ? -1 : 1;
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) return a.key === b.key ? 0 : a.key === null ? 1 : -1;
    return (a.key < b.key ? -1 : a.key > b.key ? 1 : 0) * way;
  });
  return keyed.map((each) => each.row);
}

export const table = new Table();
