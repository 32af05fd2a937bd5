// The live stream. All tabs of a browser share one connection: whoever holds the lock has it and tells the others.
// The browser reconnects by itself and says which frame it had; what it gives up on, we open again.
import type { AlertInList, PriceAnswer } from "../api/schema";
import { market } from "./market.svelte";
import { session } from "./session.svelte";

const NAME = "cryptowatcher-live";
const SILENT_FOR = 90_000; // prices come each minute at the latest; a dead connection says nothing
const RETRY = 3_000;
const PATIENCE = 4_000;

type Told =
  | { kind: "snapshot" | "prices"; prices: PriceAnswer[]; alerts: AlertInList[] }
  | { kind: "state"; state: Live["state"] }
  | { kind: "hello" }
  | { kind: "who" };

class Live {
  state: "connecting" | "live" | "lost" = $state("connecting");
  /** When something last came, by this machine's clock. 0: nothing yet. */
  heardAt: number = $state(0);
  #stream: EventSource | null = null;
  #channel: BroadcastChannel | null = null;
  /** Whether there ever was another tab to tell: copying a whole market for nobody costs milliseconds a second. */
  #heard = false;
  #retry: ReturnType<typeof setTimeout> | undefined;

  start(): () => void {
    const ended = new AbortController();
    const timers: ReturnType<typeof setInterval>[] = [];
    if (navigator.locks && "BroadcastChannel" in window) {
      this.#channel = new BroadcastChannel(NAME);
      this.#channel.onmessage = (event: MessageEvent<Told>) => this.#told(event.data);
      this.#channel.postMessage({ kind: "hello" } satisfies Told);
      const lead = () => {
        this.#channel?.postMessage({ kind: "who" } satisfies Told);
        this.#open();
        return new Promise<void>((resolve) => ended.signal.addEventListener("abort", () => resolve()));
      };
      navigator.locks.request(NAME, { signal: ended.signal }, lead).catch(() => undefined);
      // Whoever has the lock may be asleep.
      setTimeout(() => this.heardAt || this.#stream || ended.signal.aborted || this.#open(), PATIENCE);
    } else {
      this.#open(); // not over plain http from another machine: a connection for each tab
    }
    timers.push(setInterval(() => this.#watch(), 10_000));
    const back = () => !document.hidden && this.#watch();
    const online = () => this.#stream && this.#open();
    document.addEventListener("visibilitychange", back, { signal: ended.signal });
    addEventListener("online", online, { signal: ended.signal });
    return () => {
      ended.abort();
      timers.forEach(clearInterval);
      clearTimeout(this.#retry);
      this.#stream?.close();
      this.#channel?.close();
      this.#stream = this.#channel = null;
      this.heardAt = 0;
      this.state = "connecting";
    };
  }

  #open(): void {
    clearTimeout(this.#retry);
    this.#stream?.close();
    const stream = new EventSource("/api/v1/stream");
    this.#stream = stream;
    stream.onopen = () => this.#say("live");
    stream.onerror = () => {
      this.#say("lost");
      void session.ask(); // a stream ends with its session
      if (stream.readyState !== EventSource.CLOSED) return; // it tries by itself
      this.#retry = setTimeout(() => this.#open(), RETRY * (1 + Math.random()));
    };
    for (const kind of ["snapshot", "prices", "alerts"] as const) {
      stream.addEventListener(kind, (event: MessageEvent<string>) => {
        const { prices = [], alerts = [] } = JSON.parse(event.data) as { prices?: PriceAnswer[]; alerts?: AlertInList[] };
        const told: Told = { kind: kind === "snapshot" ? "snapshot" : "prices", prices, alerts };
        this.#take(told);
        if (this.#heard) this.#channel?.postMessage(told);
      });
    }
  }

  #take(told: { prices: PriceAnswer[]; alerts: AlertInList[] }): void {
    this.heardAt = Date.now();
    this.state = "live";
    market.takePrices(told.prices);
    if (told.alerts.length) market.takeAlerts(told.alerts);
  }

  #say(state: Live["state"]): void {
    this.state = state;
    this.#channel?.postMessage({ kind: "state", state } satisfies Told);
  }

  #told(told: Told): void {
    if (told.kind === "state") {
      if (!this.#stream) this.state = told.state;
    } else if (told.kind === "who") {
      this.#channel?.postMessage({ kind: "hello" } satisfies Told);
    } else if (told.kind === "hello") {
      this.#heard = true;
      this.#greet();
    } else {
      this.#take(told);
    }
  }

  /** Another tab has come: what is known. */
  #greet(): void {
    if (this.#stream && market.known) {
      const prices = market.rows.map((row) => row.told());
      this.#channel?.postMessage({ kind: "snapshot", prices, alerts: market.alerts } satisfies Told);
      this.#say(this.state);
    }
  }

  /** A connection may be dead without a word, above all after a sleep. */
  #watch(): void {
    if (this.#stream && this.heardAt && Date.now() - this.heardAt > SILENT_FOR) {
      this.heardAt = Date.now();
      this.#open();
    }
  }
}

export const live = new Live();
