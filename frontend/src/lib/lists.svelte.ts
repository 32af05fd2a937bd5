// The reader's watchlists.
import { get, Problem, put, remove } from "../api/client";
import type { WatchlistAnswer } from "../api/schema";

/** The list that a first star makes. */
export const FIRST = "favourites";

class Lists {
  all: WatchlistAnswer[] = $state.raw([]);
  /** Why the last change was not taken; empty when it was. */
  trouble: string = $state("");

  async load(): Promise<void> {
    try {
      this.all = (await get("/api/v1/watchlists")).items;
    } catch {
      return; // the live stream says that nothing answers
    }
  }

  named(name: string): WatchlistAnswer | undefined {
    return this.all.find((list) => list.name === name);
  }

  /** Put a pair on a list, or take it off. */
  async toggle(name: string, pair: string): Promise<void> {
    const pairs = this.named(name)?.pairs ?? [];
    await this.#change(name, pairs.includes(pair) ? pairs.filter((each) => each !== pair) : [...pairs, pair]);
  }

  async add(name: string): Promise<boolean> {
    if (this.named(name)) return true;
    return this.#change(name, []);
  }

  async remove(name: string): Promise<boolean> {
    return this.#try(() => remove("/api/v1/watchlists/{name}", { path: { name } }));
  }

  #change(name: string, pairs: string[]): Promise<boolean> {
    return this.#try(() => put("/api/v1/watchlists/{name}", { path: { name }, body: { pairs } }));
  }

  async #try(change: () => Promise<unknown>): Promise<boolean> {
    try {
      await change();
      this.trouble = "";
      await this.load();
      return true;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.trouble = error.said;
      return false;
    }
  }
}

export const lists = new Lists();
