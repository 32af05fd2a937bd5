// The inbox: what the address asks for, page by page backwards, and what comes by the live stream in front of it.
import { get, post, Problem } from "../api/client";
import type { AlertInList, AlertWithOutcomes, NoticeAnswer } from "../api/schema";
import { market } from "./market.svelte";
import { notices } from "./notices.svelte";

export type Kind = "all" | "alert" | "sight" | "expiry" | "summary" | "resolved";
export type AdviceName = "buy" | "sell" | "info" | "signal";

export interface Filter {
  pair: string;
  rule: string;
  kind: Kind;
  advice: AdviceName | "";
  /** "no": what nobody has acknowledged. */
  seen: "yes" | "no" | "";
  /** How far back: 24h, 7d; or a day, 2026-01-31. Empty: without end. */
  time: string;
}

export const EVERYTHING: Filter = { pair: "", rule: "", kind: "all", advice: "", seen: "", time: "" };

const KINDS: Kind[] = ["all", "alert", "sight", "expiry", "summary", "resolved"];
const ADVICE: AdviceName[] = ["buy", "sell", "info", "signal"];
const STRETCH = { "1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000, "30d": 30 * 86_400_000 } as const;

export function filterOf(query: string): Filter {
  const asked = new URLSearchParams(query);
  const kind = KINDS.find((each) => each === asked.get("kind"));
  const advice = ADVICE.find((each) => each === asked.get("advice"));
  const seen = asked.get("seen");
  return {
    pair: asked.get("pair") ?? "",
    rule: asked.get("rule") ?? "",
    kind: kind ?? "all",
    advice: advice ?? "",
    seen: seen === "yes" || seen === "no" ? seen : "",
    time: asked.get("time") ?? "",
  };
}

/** As it stands in the address: only what narrows. */
export function queryOf(filter: Filter): URLSearchParams {
  const set = Object.entries(filter).filter(([name, value]) => value !== EVERYTHING[name as keyof Filter]);
  return new URLSearchParams(set as [string, string][]);
}

export interface Entry {
  id: string;
  at: number;
  alert?: AlertInList;
  notice?: NoticeAnswer;
}

const PAGE = 100;
const MOST = 2_000;

/** From when to when, epoch ms; undefined: without end. */
export function stretchOf(time: string, now: number): { from?: number; to?: number } {
  if (time in STRETCH) return { from: now - STRETCH[time as keyof typeof STRETCH] };
  const day = /^\d{4}-\d\d-\d\d$/.test(time) ? new Date(`${time}T00:00`) : null;
  if (!day || Number.isNaN(day.getTime())) return {};
  const from = day.getTime();
  day.setDate(day.getDate() + 1); // days on which clocks change have 23 or 25 hours
  return { from, to: day.getTime() };
}

export class Inbox {
  entries: Entry[] = $state.raw([]);
  /** Came while the reader was further down. */
  waiting: Entry[] = $state.raw([]);
  known: boolean = $state(false);
  /** How often it was read from its beginning. What came meanwhile may be in no answer: take it anew. */
  reads: number = $state(0);
  busy: boolean = $state(false);
  trouble: string = $state("");
  /** Whether there are older ones. */
  more: boolean = $state(false);
  #next: string | null = null;
  #asking = 0;
  #old = new Set<string>();

  constructor(readonly filter: Filter) {}

  async load(): Promise<void> {
    await this.#ask(null);
  }

  async older(): Promise<void> {
    if (!this.busy && this.#next) await this.#ask(this.#next);
  }

  /** What the live stream has told since: shown at once, or kept until the reader asks for it. */
  take(alerts: AlertInList[], atTop: boolean): void {
    if (!this.known) return;
    const come = alerts.filter((alert) => !this.#old.has(alert.id) && this.#matches(alert)).map(entryOf);
    for (const { id } of come) this.#old.add(id);
    if (!come.length) return;
    this.waiting = sorted([...come, ...this.waiting]);
    if (atTop) this.show();
  }

  /** What waits comes in: what was found late further down. */
  show(): void {
    if (!this.waiting.length) return;
    this.entries = sorted([...this.waiting, ...this.entries]);
    this.waiting = [];
    if (this.entries.length > MOST && !this.busy) this.#cut();
  }

  /** A page that stands open for weeks need not hold all of it: what is further down is asked for again. */
  #cut(): void {
    this.entries = this.entries.slice(0, MOST);
    this.#old = new Set([...market.alerts, ...this.entries].map(({ id }) => id));
    this.#next = this.entries.at(-1)?.id ?? null;
    this.more = true;
  }

  async acknowledge(ids: string[]): Promise<void> {
    const before = this.entries;
    this.#mark(new Set(ids), Date.now());
    try {
      await post("/api/v1/alerts/ack", { body: { alerts: ids } });
    } catch (error) {
      this.entries = before;
      complain(error);
    }
  }

  async acknowledgeAll(): Promise<void> {
    const newest = this.entries[0]?.id;
    if (!newest) return;
    try {
      const { acknowledged } = await post("/api/v1/alerts/ack", { body: { upto: newest } });
      this.#mark(new Set(this.entries.map((entry) => entry.id)), Date.now());
      notices.say(`${acknowledged.toLocaleString("en-US")} acknowledged`);
    } catch (error) {
      complain(error);
    }
  }

  #mark(ids: Set<string>, at: number): void {
    const told = market.alerts.filter((alert) => ids.has(alert.id));
    market.takeAlerts(told.map((alert) => ({ ...alert, acknowledged_at_ms: alert.acknowledged_at_ms ?? at })));
    this.entries = this.entries.map((entry) =>
      entry.alert && ids.has(entry.id) && !entry.alert.acknowledged_at_ms
        ? { ...entry, alert: { ...entry.alert, acknowledged_at_ms: at } }
        : entry,
    );
  }

  async #ask(before: string | null): Promise<void> {
    const mine = ++this.#asking;
    this.busy = true;
    const old = new Set(market.alerts.map((alert) => alert.id));
    const { pair, rule, kind, advice, seen, time } = this.filter;
    const { from, to } = stretchOf(time, Date.now());
    try {
      const found = await get("/api/v1/alerts", {
        query: {
          limit: PAGE,
          kind,
          ...(before && { before }),
          ...(pair && { pair }),
          ...(rule && { rule }),
          ...(advice && { advice }),
          ...(seen && { acknowledged: seen === "yes" }),
          ...(from !== undefined && { from: String(from) }),
          ...(to !== undefined && { to: String(to) }),
        },
      });
      if (mine !== this.#asking) return;
      const page = merged(found);
      if (before) {
        this.entries = [...this.entries, ...page];
      } else {
        this.entries = page;
        this.waiting = [];
        this.#old = new Set([...old, ...page.map((entry) => entry.id)]);
        this.reads += 1;
      }
      this.#next = found.next ?? null;
      this.more = found.next !== null;
      this.trouble = "";
      this.known = true;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (mine === this.#asking) this.trouble = error.said;
    } finally {
      if (mine === this.#asking) this.busy = false;
    }
  }

  #matches(alert: AlertInList): boolean {
    const { pair, rule, kind, advice, seen, time } = this.filter;
    if (!["all", "alert"].includes(kind) || seen === "yes") return false;
    if (pair && alert.pair !== pair) return false;
    if (rule && ![alert.rule, alert.rule_name].includes(rule)) return false;
    if (advice && alert.advice !== advice && (advice !== "signal" || alert.advice === "info")) return false;
    const { to } = stretchOf(time, Date.now());
    return to === undefined || alert.event_time_ms < to;
  }
}

function entryOf(alert: AlertInList): Entry {
  return { id: alert.id, at: alert.event_time_ms, alert };
}

function merged(found: { items: AlertWithOutcomes[]; notices: NoticeAnswer[] }): Entry[] {
  const told = found.notices.map((notice): Entry => ({ id: notice.id, at: notice.event_time_ms, notice }));
  return sorted([...found.items.map(entryOf), ...told]);
}

const sorted = (entries: Entry[]) => entries.toSorted((a, b) => (a.id < b.id ? 1 : -1));

function complain(error: unknown): void {
  if (!(error instanceof Problem)) throw error;
  notices.complain(error.message);
}
