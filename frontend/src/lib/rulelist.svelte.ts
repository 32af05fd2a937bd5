// All rules in short, as the list shows them: asked for again while somebody looks, searched and put in order here.
import { get, post, Problem } from "../api/client";
import type { RuleInList, RuleSpec, Several } from "../api/schema";
import { keepFocus } from "./focus";
import { notices } from "./notices.svelte";
import { counted, pairsInWords, STATES, type StateNow } from "./rules";

export type Order = "name" | "state" | "fired" | "often" | "coin";
type Doing = Partial<Several> & Pick<Several, "do">;

const LEAST = 10_000; // ms between two answers
const SHARE = 40; // and never more of the time than a fortieth
const SOON = 1_500; // after an alert
const ORDER = Object.keys(STATES) as StateNow[];
/** What the answer leaves out, to be light. */
const LEFT_OUT: Omit<RuleInList, "id" | "name" | "pairs" | "when" | "state"> = {
  for: "0s", advice: "info", channels: [], origin: "owner", problem: "", since_ms: 0, until_ms: 0, expires_at_ms: 0,
  snoozed_until_ms: 0, pairs_holding: 0, pairs_rearming: 0, last_fired_at_ms: 0, fired: 0, alerts_week: 0,
};

class RuleList {
  all: RuleInList[] = $state.raw([]);
  known: boolean = $state(false);
  trouble: string = $state("");
  /** Told by the server's clock. */
  at: number = $state(0);

  text: string = $state("");
  state: StateNow | "" = $state("");
  advice: RuleInList["advice"] | "" = $state("");
  origin: RuleInList["origin"] | "" = $state("");
  order: Order = $state("name");
  chosen: ReadonlySet<string> = $state.raw(new Set());

  readonly #texts = $derived(new Map(this.all.map((rule) => [rule.id, searched(rule)])));
  readonly counts = $derived.by(() => {
    const counts = new Map<StateNow, number>();
    for (const rule of this.all) counts.set(rule.state, (counts.get(rule.state) ?? 0) + 1);
    return counts;
  });
  readonly shown: RuleInList[] = $derived.by(() => {
    const words = this.text.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.all.filter(
      (rule) =>
        (!this.state || rule.state === this.state) &&
        (!this.advice || rule.advice === this.advice) &&
        (!this.origin || rule.origin === this.origin) &&
        words.every((word) => this.#texts.get(rule.id)?.includes(word)),
    );
    return this.order === "name" ? found : found.sort(BY[this.order]);
  });
  readonly filtered: boolean = $derived(Boolean(this.text.trim() || this.state || this.advice || this.origin));

  #timer: ReturnType<typeof setTimeout> | undefined;
  #due = 0;
  #asking = 0;
  #watched = false;

  start(): () => void {
    this.#watched = true;
    void this.load();
    const back = () => !document.hidden && void this.load();
    document.addEventListener("visibilitychange", back);
    return () => {
      this.#watched = false;
      clearTimeout(this.#timer);
      document.removeEventListener("visibilitychange", back);
    };
  }

  async load(): Promise<void> {
    clearTimeout(this.#timer);
    const mine = ++this.#asking;
    const begun = performance.now();
    try {
      const found = await get("/api/v1/rules/overview");
      if (mine !== this.#asking) return;
      this.all = found.items.map((item) => ({ ...LEFT_OUT, ...item }));
      this.at = found.at_ms;
      this.known = true;
      this.trouble = "";
      const there = new Set(found.items.map((rule) => rule.id));
      if ([...this.chosen].some((id) => !there.has(id))) this.chosen = new Set([...this.chosen].filter((id) => there.has(id)));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (mine === this.#asking && !this.known) this.trouble = error.message;
    } finally {
      if (mine === this.#asking) this.#again(Math.max(LEAST, (performance.now() - begun) * SHARE));
    }
  }

  /** Something happened that changes what is shown. */
  soon(): void {
    if (this.#due > performance.now() + SOON) this.#again(SOON); // one alert after the other does not put it off for ever
  }

  clear(): void {
    [this.text, this.state, this.advice, this.origin] = ["", "", "", ""];
  }

  choose(ids: Iterable<string>, on: boolean): void {
    const next = new Set(this.chosen);
    for (const id of ids) {
      if (on) next.add(id);
      else next.delete(id);
    }
    this.chosen = next;
  }

  /** One thing to some rules; what came of it is said in the corner. */
  async change(rules: Pick<RuleInList, "id" | "name">[], doing: Doing, done: string, takeBack?: () => void): Promise<boolean> {
    const what = rules.length === 1 ? `“${rules[0]?.name}”` : counted(rules.length, "rule");
    try {
      const found = await post("/api/v1/rules/many", { body: { for: "", until: "", ...doing, ids: rules.map((rule) => rule.id) } });
      const undo = found.removed.length ? () => void this.#takeBack(found.removed) : takeBack;
      const said = found.done.length === rules.length ? what : counted(found.done.length, "rule");
      if (found.done.length) notices.say(`${said} ${done}`, undo);
      for (const each of found.not_done.slice(0, 3)) notices.complain(`“${each.name || each.id}”: ${each.problem}`);
      if (found.not_done.length > 3) notices.complain(`It could not be done to ${counted(found.not_done.length, "rule")}.`);
      if (this.#watched) await this.load();
      await keepFocus(); // rows may be gone
      return !found.not_done.length;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      notices.complain(error.said);
      return false;
    }
  }

  async #takeBack(removed: RuleSpec[]): Promise<void> {
    try {
      const found = await post("/api/v1/rules/import", { body: { text: "", rules: removed, write: true, leave_out: true } });
      const lost = found.items.filter((item) => item.verdict === "refused");
      notices.say(`Back again: ${counted(removed.length - lost.length, "rule")}`);
      for (const each of lost.slice(0, 3)) notices.complain(`“${each.name}”: ${each.problem}`);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      notices.complain(error.message);
    }
    if (this.#watched) await this.load();
  }

  #again(ms: number): void {
    clearTimeout(this.#timer);
    if (!this.#watched) return;
    this.#due = performance.now() + ms;
    this.#timer = setTimeout(() => (document.hidden ? this.#again(LEAST) : void this.load()), ms);
  }
}

function searched(rule: RuleInList): string {
  const coins = rule.pairs.length > 20 ? "" : pairsInWords(rule.pairs);
  return [rule.name, rule.when, coins, rule.pairs.join(" "), rule.channels.join(" ")].join("\n").toLowerCase();
}

const BY: Record<Order, (a: RuleInList, b: RuleInList) => number> = {
  name: () => 0,
  state: (a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state),
  fired: (a, b) => b.last_fired_at_ms - a.last_fired_at_ms,
  often: (a, b) => b.alerts_week - a.alerts_week,
  coin: (a, b) => (pairsInWords(a.pairs) < pairsInWords(b.pairs) ? -1 : 1),
};

export const rulelist = new RuleList();
