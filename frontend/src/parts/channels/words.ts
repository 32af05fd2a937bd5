// How a channel is, as words.
import type { ChannelAnswer } from "../../api/schema";
import { age } from "../../lib/format";

export interface Said {
  tone: "up" | "warn" | "down" | "muted";
  title: string;
}

export function stateWords({ state }: ChannelAnswer, now: number): Said {
  switch (state.status) {
    case "failing":
      return { tone: "down", title: state.failing_since_ms ? `Failing for ${age(now - state.failing_since_ms)}` : "Failing" };
    case "waiting":
      return { tone: "warn", title: "Messages wait" };
    case "ok":
      return { tone: "up", title: "Works" };
    default:
      return { tone: "muted", title: "Not used yet" };
  }
}

const ADVICE: [RegExp, string][] = [
  [/press Enable again/, ""],
  [/private network|may be asked/, "The address leads into a private network. Whoever runs the watcher can allow it: [outbound] allow."],
  [/\b429\b|too many|rate/i, "It gets too many messages: give it a smaller rate, under More."],
  [/\b(401|403)\b|unauthorized|password|authenticat/i, "What it logs in with is not accepted any more: edit it, and enter the secret anew."],
  [/\b(404|410)\b/, "What it sends to is gone: look it up on the other side, and edit the channel."],
  [/no answer|connect|looked up|connection|\b5\d\d\b/i, "It is tried again by itself. Can the machine of the watcher reach it?"],
];

/** What to do about it; "" where that stands in the error itself, or nobody knows. */
export function adviceFor(error: string): string {
  const found = ADVICE.find(([pattern]) => pattern.test(error));
  return found?.[1] ?? "";
}
