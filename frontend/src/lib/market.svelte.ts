// What is known of all pairs. Prices come by the live stream, what they are compared with from /market.
import { untrack } from "svelte";
import { get } from "../api/client";
import type { AlertInList, Market as Past, PriceAnswer } from "../api/schema";
import { nameOf } from "./format";

const ALERTS_KEPT = 100;
const EVERY = 60_000;

/** One pair. Each field is a signal of its own, so that a tick redraws a cell and not a table. */
export class Row {
  readonly pair: string;
  readonly asset: string;
  readonly currency: string;
  readonly name: string;
  price: number = $state(0);
  volume: number | null = $state(null);
  cap: number | null = $state(null);
  observedAt: number = $state(0);
  validUntil: number = $state(0);
  source: string = $state("");
  hourAgo: number | null = $state(null);
  dayAgo: number | null = $state(null);
  weekAgo: number | null = $state(null);
  spark: (number | null)[] = $state.raw([]);
  /** The last move: a new object each time the price changes. */
  moved: { up: boolean } | null = $state.raw(null);

  constructor(pair: string) {
    this.pair = pair;
    const cut = pair.lastIndexOf("/");
    this.asset = pair.slice(0, cut);
    this.currency = pair.slice(cut + 1);
    this.name = nameOf(this.asset);
  }

  take(seen: PriceAnswer): void {
    if (seen.observed_at_ms < this.observedAt) return;
    if (this.observedAt && seen.price !== this.price) this.moved = { up: seen.price > this.price };
    this.price = seen.price;
    this.volume = seen.volume_24h ?? null;
    this.cap = seen.market_cap ?? null;
    this.observedAt = seen.observed_at_ms;
    this.validUntil = seen.valid_until_ms;
    this.source = seen.source;
  }

  /** As it was told. */
  told(): PriceAnswer {
    return {
      pair: this.pair,
      price: this.price,
      volume_24h: this.volume,
      market_cap: this.cap,
      observed_at_ms: this.observedAt,
      received_at_ms: this.observedAt,
      valid_until_ms: this.validUntil,
      source: this.source,
    };
  }

  get change1h(): number | null {
    return change(this.price, this.hourAgo);
  }
  get change24h(): number | null {
    return change(this.price, this.dayAgo);
  }
  get change7d(): number | null {
    return change(this.price, this.weekAgo);
  }
}

function change(price: number, before: number | null): number | null {
  return before ? price / before - 1 : null;
}

class Market {
  readonly byPair = new Map<string, Row>();
  rows: Row[] = $state.raw([]);
  alerts: AlertInList[] = $state.raw([]);
  /** Whether a first answer has come. */
  known: boolean = $state(false);
  /** The largest first, as they were when coins last came: to follow each price would be work for nothing. */
  readonly largest: Row[] = $derived.by(() => {
    const rows = this.rows;
    return untrack(() => rows.toSorted((a, b) => (b.cap ?? 0) - (a.cap ?? 0)));
  });
  #past: Past | null = null;
  #places = new Map<string, number>();

  takePrices(prices: PriceAnswer[]): void {
    let grown = false;
    for (const seen of prices) {
      let row = this.byPair.get(seen.pair);
      if (!row) {
        row = new Row(seen.pair);
        this.byPair.set(seen.pair, row);
        this.#compareOne(row);
        grown = true;
      }
      row.take(seen);
    }
    if (grown) this.rows = [...this.byPair.values()];
    this.known = true;
  }

  takeAlerts(alerts: AlertInList[]): void {
    const all = new Map([...this.alerts, ...alerts].map((alert) => [alert.id, alert]));
    this.alerts = [...all.values()].sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, ALERTS_KEPT);
  }

  /** Once a minute while somebody looks: the server works it out no more often. */
  start(): () => void {
    let asked = -EVERY;
    const look = () => {
      if (document.hidden || performance.now() - asked < EVERY) return;
      asked = performance.now();
      void this.#compare();
    };
    look();
    const timer = setInterval(look, EVERY / 12);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }

  async #compare(): Promise<void> {
    try {
      const past = await get("/api/v1/market");
      this.#past = past;
      this.#places = new Map(past.pairs.map((pair, i) => [pair, i]));
    } catch {
      return; // the live stream says that nothing answers
    }
    for (const row of this.rows) this.#compareOne(row);
  }

  #compareOne(row: Row): void {
    const past = this.#past;
    const i = this.#places.get(row.pair);
    if (!past || i === undefined) return;
    row.hourAgo = past.price_1h_ago[i] ?? null;
    row.dayAgo = past.price_24h_ago[i] ?? null;
    row.weekAgo = past.price_7d_ago[i] ?? null;
    row.spark = past.spark[i] ?? [];
  }
}

export const market = new Market();
