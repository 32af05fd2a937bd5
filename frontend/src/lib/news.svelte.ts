// How many alerts came since the reader last looked at the inbox: for the navigation. Counted of those that the page
// has anyway, so it costs nothing.
import { market } from "./market.svelte";
import { remember, remembered } from "./theme.svelte";

const KEY = "alerts-seen";

class News {
  #seen: string = $state(remembered(KEY) ?? "");

  /** 0 until the inbox was looked at once. */
  get count(): number {
    return this.#seen ? market.alerts.filter((alert) => alert.id > this.#seen && !alert.acknowledged_at_ms).length : 0;
  }

  /** The reader has seen all up to this one. */
  look(newest: string): void {
    if (newest <= this.#seen) return;
    this.#seen = newest;
    remember(KEY, newest);
  }
}

export const news = new News();
