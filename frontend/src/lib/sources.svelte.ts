// Whether the sources can see, as they say of themselves.
import { get } from "../api/client";
import type { SourceAnswer } from "../api/schema";
import { age } from "./format";
import { whileSeen } from "./poll";

const EVERY = 10_000;

class Sources {
  all: SourceAnswer[] = $state.raw([]);

  /** The one that is worst off: what the reader has to know. */
  get worst(): SourceAnswer | undefined {
    const order = ["ok", "starting", "limited", "blind"];
    return this.all.toSorted((a, b) => order.indexOf(b.state) - order.indexOf(a.state))[0];
  }

  start(): () => void {
    return whileSeen(EVERY, async () => {
      try {
        this.all = (await get("/api/v1/sources")).items;
      } catch {
        return; // the live stream says that nothing answers
      }
    });
  }
}

export const sources = new Sources();

const STATES: Record<Exclude<SourceAnswer["state"], "ok">, string> = {
  starting: "has not answered yet",
  limited: "gives no new prices now; the last ones still count",
  blind: "gives no prices: none of them is current",
};

/** The state, and why, as a sentence. */
export function sourceWords(source: SourceAnswer, now: number): string {
  if (source.state === "ok") return source.last_ok_at_ms ? `answered ${age(now - source.last_ok_at_ms)} ago` : "answers";
  const why = source.reason === "held" ? "prices are held back until confirmed" : source.detail || source.reason;
  return why ? `${STATES[source.state]} (${why})` : STATES[source.state];
}
