// The values of numbers along the candles, as the server knows them: asked for where candles are, and kept.
import { get, Problem } from "../../api/client";
import type { CurveAnswer } from "../../api/schema";
import type { Interval } from "../../lib/candles";

interface Known {
  at: Map<number, number | null>;
  unit: CurveAnswer["unit"];
  /** Why it is not known at all; empty where it is. */
  unknown: string;
  from: number;
  to: number;
}

interface Asked {
  asset: string;
  currency: string;
  interval: Interval;
  ms: number;
}

const AT_ONCE = 12;
const MOST = 10_000;

export class Values {
  /** Grows with each answer. */
  version: number = $state(0);
  /** Why the last question was not answered. */
  trouble: string = $state("");
  #known = new Map<string, Known>();
  #turn = Promise.resolve();
  #age = 0;

  at(text: string, start: number): number | null {
    return this.#known.get(text)?.at.get(start) ?? null;
  }

  of(text: string): { unit: CurveAnswer["unit"]; unknown: string } | undefined {
    return this.#known.get(text);
  }

  /** Other candles: nothing of what was known belongs to them. */
  forget(): void {
    this.#age++;
    this.#known.clear();
    this.version++;
  }

  /** Ask for what is not known yet of candles that begin from `from` to before `to`. One question after the other. */
  cover(asked: Asked, texts: string[], from: number, to: number): void {
    const age = this.#age;
    this.#turn = this.#turn.then(async () => {
      const ranges = new Map<string, { from: number; to: number; texts: string[] }>();
      for (const text of new Set(texts)) {
        for (const range of this.#missing(text, from, to)) {
          const group = ranges.get(`${range.from} ${range.to}`) ?? { ...range, texts: [] };
          group.texts.push(text);
          ranges.set(`${range.from} ${range.to}`, group);
        }
      }
      for (const group of ranges.values()) {
        for (let i = 0; i < group.texts.length && age === this.#age; i += AT_ONCE)
          await this.#ask(asked, group.texts.slice(i, i + AT_ONCE), group.from, group.to, age);
      }
    });
  }

  #missing(text: string, from: number, to: number): { from: number; to: number }[] {
    const known = this.#known.get(text);
    if (!known) return from < to ? [{ from, to }] : [];
    return [
      { from, to: known.from },
      { from: known.to, to },
    ].filter((range) => range.from < range.to);
  }

  async #ask({ asset, currency, interval, ms }: Asked, texts: string[], from: number, to: number, age: number): Promise<void> {
    const limit = Math.min(MOST, Math.max(1, Math.round((to - from) / ms)));
    try {
      const query = { value: texts, interval, from: String(from), to: String(to), limit };
      const answer = await get("/api/v1/series/{asset}/{currency}", { path: { asset, currency }, query });
      if (age !== this.#age) return;
      const last = answer.start_ms.at(-1);
      for (const item of answer.items) this.#take(item, answer.start_ms, from, last === undefined ? from : last + ms);
      this.trouble = "";
      this.version++;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (age !== this.#age) return;
      const place = error.fields.findIndex(({ path }) => path.startsWith("value["));
      const wrong = texts[Number(/\d+/.exec(error.fields[place]?.path ?? "")?.[0] ?? -1)];
      if (wrong === undefined) return void (this.trouble = error.message);
      // The others are asked for without it.
      this.#known.set(wrong, { at: new Map(), unit: "", unknown: error.message, from: -Infinity, to: Infinity });
      this.version++;
      const rest = texts.filter((text) => text !== wrong);
      if (rest.length) await this.#ask({ asset, currency, interval, ms }, rest, from, to, age);
    }
  }

  #take(item: CurveAnswer, starts: number[], from: number, to: number): void {
    const known = this.#known.get(item.value) ?? { at: new Map(), unit: item.unit, unknown: item.unknown, from, to };
    starts.forEach((start, i) => known.at.set(start, item.values[i] ?? null));
    known.from = Math.min(known.from, from);
    known.to = Math.max(known.to, to);
    this.#known.set(item.value, known);
  }
}
