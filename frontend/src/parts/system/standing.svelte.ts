// How the watcher stands, asked anew while somebody looks.
import { get, Problem } from "../../api/client";
import type { SystemAnswer } from "../../api/schema";
import { whileSeen } from "../../lib/poll";

const EVERY = 5_000;

class Standing {
  now: SystemAnswer | null = $state.raw(null);
  /** Why the newest answer is old; empty when it is not. */
  away: string = $state("");

  start(): () => void {
    return whileSeen(EVERY, () => this.#look());
  }

  async #look(): Promise<void> {
    try {
      this.now = await get("/api/v1/system");
      this.away = "";
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.away = error.message;
    }
  }
}

export const standing = new Standing();
