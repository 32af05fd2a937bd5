// A rule while it is being written: what stands in the form, what the watcher says of it, and where it would have
// fired. Answers that come out of order are dropped.
import { get, post, Problem } from "../api/client";
import type { SaidAnswer, PreviewAnswer, RuleAnswer, RuleSpec, WrongAnswer } from "../api/schema";
import { nameOf } from "./format";
import { market } from "./market.svelte";
import { session } from "./session.svelte";
import { fresh, missing, read, rounded, USUAL, written, type Filled } from "./ruleform-usual";

export type Spec = Required<RuleSpec>;

export const EMPTY: Spec = {
  name: "", pairs: [], when: "", for: "0s", rearm: "0.1%", cooldown: "0s", repeat: "every", fire_if_already_true: false,
  advice: "info", channels: [], paused: false, expires: "", active: "", urgent: false, remind: "", escalate: [],
  resolved: false,
};
/** What begins a rule anew when it is changed. */
const IDENTITY = ["when", "pairs", "for", "rearm", "fire_if_already_true"] as const;
const FEE = "0.1%";
const BARS = 300;
const SOON = 160; // ms after the last key
const LATER = 240;

export class Draft {
  spec: Spec = $state({ ...EMPTY });
  /** The usual rule that the condition is; null: it is written in the language. */
  filled: Filled | null = $state(null);
  /** The rule as it is saved; null for a new one. */
  saved: RuleAnswer | null = $state.raw(null);
  check: SaidAnswer | null = $state.raw(null);
  seen: PreviewAnswer | null = $state.raw(null);
  /** Why there is no preview though the rule is right; empty when there is one, or it is on its way. */
  trouble: string = $state("");
  looking: boolean = $state(false);
  suggesting: boolean = $state(false);
  since: string = $state("90d");
  /** Of which pair the preview is, where the reader chose one. */
  chosen: string = $state("");
  /** Errors of the last saving, gone with the next change of their field. */
  refused: WrongAnswer[] = $state.raw([]);
  #named = false;
  #number = 0;
  #before = JSON.stringify(EMPTY);
  #soon: ReturnType<typeof setTimeout> | undefined;
  #later: ReturnType<typeof setTimeout> | undefined;

  readonly pair: string = $derived.by(() => this.#seenOn());
  readonly changed: boolean = $derived(JSON.stringify(this.spec) !== this.#beforeNow());
  /** A change of these begins the rule anew. */
  readonly anew: boolean = $derived.by(() => {
    const old = this.saved?.spec as Spec | undefined;
    return old !== undefined && IDENTITY.some((field) => JSON.stringify(old[field]) !== JSON.stringify(this.spec[field]));
  });
  #stamp: number = $state(0);

  #beforeNow(): string {
    void this.#stamp;
    return this.#before;
  }

  /** From here on nothing is unsaved. */
  settle(): void {
    this.#before = JSON.stringify(this.spec);
    this.#stamp++;
  }

  begin(spec: Partial<Spec>, saved: RuleAnswer | null): void {
    this.saved = saved;
    this.#named = Boolean(spec.name);
    this.spec = { ...EMPTY, ...spec };
    this.take(this.spec.when);
    this.settle();
  }

  /** A condition from elsewhere: it opens as a form where it is a usual one. */
  take(when: string): void {
    this.spec.when = when;
    this.filled = when ? read(when) : null;
  }

  choose(id: string, way = 0): void {
    const usual = USUAL.find((each) => each.id === id);
    if (!usual) return;
    this.filled = fresh(usual, way, market.byPair.get(this.pair)?.price);
    this.write();
  }

  /** The condition from what stands in the blanks. */
  write(): void {
    if (this.filled) this.spec.when = missing(this.filled).length ? "" : written(this.filled);
  }

  /** A number for the threshold, as the preview tells it: a fraction where it is written in percent. */
  turn(constant: number): void {
    const { filled, seen } = this;
    const unit = seen?.threshold?.unit;
    const size = unit === "fraction" || filled?.values.size !== undefined ? Math.abs(constant) * 100 : constant;
    const blank = filled && (["price", "size", "level", "times"].find((name) => filled.values[name] !== undefined) ?? null);
    if (!filled || !blank) return;
    filled.values[blank] = rounded(size, blank === "price" ? 4 : 3);
    this.write();
  }

  set name(typed: string) {
    this.#named = true;
    this.spec.name = typed;
  }

  get name(): string {
    return this.spec.name;
  }

  /** What is wrong with a field, as a sentence; empty when nothing is. */
  wrong(field: string): string {
    const found = this.refused.find(({ path }) => path === field) ?? this.check?.errors.find(({ path }) => path === field);
    return found ? [found.message, found.hint].filter(Boolean).join(": ") : "";
  }

  /** Something was changed: what follows from it is asked for, in a while. */
  touched(): void {
    clearTimeout(this.#soon);
    clearTimeout(this.#later);
    const number = ++this.#number;
    if (!this.#named && !this.saved) this.spec.name = calledSo(this.spec);
    if (!this.spec.when.trim()) {
      this.check = this.seen = null;
      this.looking = false;
      this.trouble = "";
      return;
    }
    this.#soon = setTimeout(() => void this.#say(number), SOON);
  }

  async #say(number: number): Promise<void> {
    const pairs = this.spec.pairs.length ? this.spec.pairs : ["all"];
    try {
      const check = await post("/api/v1/rules/check", { body: { ...this.spec, pairs } });
      if (number !== this.#number) return;
      [this.check, this.trouble] = [check, ""];
      if (!check.words) return void (this.looking = false);
      this.#later = setTimeout(() => void this.look(number), LATER);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (number === this.#number) [this.trouble, this.looking] = [error.message, false];
    }
  }

  async look(number = ++this.#number): Promise<void> {
    if (!this.pair) return void (this.looking = false);
    this.looking = true;
    try {
      const seen = await this.#try();
      if (number !== this.#number) return;
      [this.seen, this.trouble] = [seen, ""];
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (number !== this.#number) return;
      [this.seen, this.trouble] = [null, error.message];
    }
    this.looking = false;
  }

  /** A number that fires about so often; a sentence where there is none. */
  async suggest(aWeek: number): Promise<string> {
    const number = this.#number;
    this.suggesting = true;
    try {
      const found = (await this.#try(aWeek)).suggestion;
      if (number !== this.#number) return "";
      if (!found?.when) return found?.reason ?? "";
      this.take(found.when);
      this.touched();
      return "";
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return error.message;
    } finally {
      this.suggesting = false;
    }
  }

  #try(aWeek?: number): Promise<PreviewAnswer> {
    const { when, for: for_, rearm, cooldown, repeat, fire_if_already_true, advice } = this.spec;
    if (!session.mayChange && this.saved)
      return get("/api/v1/rules/{rule}/preview", { path: { rule: this.saved.id }, query: { pair: this.pair, since: this.since, bars: BARS } });
    const rule = { when, for: for_, rearm, cooldown, repeat, fire_if_already_true, advice };
    const body = { ...rule, pair: this.pair, since: this.since, fee: FEE, bars: BARS, a_week: aWeek ?? null };
    return post("/api/v1/rules/preview", { body });
  }

  /** The pair that was chosen, the first of the rule, or the largest there is. */
  #seenOn(): string {
    const [first] = this.spec.pairs;
    if (!first) return "";
    const several = isMany(first);
    if (this.chosen && (several || this.spec.pairs.includes(this.chosen))) return this.chosen;
    if (!several) return first;
    return market.largest[0]?.pair ?? "";
  }
}

/** `all`, `top(10)`, `list(mine)`. */
export const isMany = (pair: string) => !pair.includes("/");

/** The saved rule, by id. */
export const savedRule = (id: string) => get("/api/v1/rules/{rule}", { path: { rule: id } });

const LONGEST = 120;

function calledSo({ pairs, when }: Spec): string {
  if (!pairs.length || !when) return "";
  const [first] = pairs as [string];
  const who = pairs.length > 1 ? `${pairs.length} coins` : isMany(first) ? first : nameOf(first.slice(0, first.lastIndexOf("/")));
  return `${who}: ${when.trim().replaceAll(/\s+/g, " ")}`.slice(0, LONGEST).trim();
}
