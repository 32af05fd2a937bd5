// The reader's channels, and the kinds that can be added.
import { get, remove } from "../../api/client";
import type { ChannelAnswer, Kind } from "../../api/schema";
import { whileSeen } from "../../lib/poll";
import { session } from "../../lib/session.svelte";

const EVERY = 5_000;

class Channels {
  /** Null: not known yet. */
  all: ChannelAnswer[] | null = $state.raw(null);
  kinds: Kind[] = $state.raw([]);
  away: boolean = $state(false);

  start(): () => void {
    if (session.mayChange) void this.#loadKinds();
    return whileSeen(EVERY, () => this.load());
  }

  async load(): Promise<void> {
    try {
      this.all = (await get("/api/v1/channels")).items;
      this.away = false;
    } catch {
      this.away = true;
    }
  }

  /** Problem 409 when rules name it, unless forced. */
  async remove(name: string, force: boolean): Promise<void> {
    await remove("/api/v1/channels/{name}", { path: { name }, query: { force } });
    await this.load();
  }

  async #loadKinds(): Promise<void> {
    try {
      this.kinds = (await get("/api/v1/channel-kinds")).items;
    } catch {
      this.away = true;
    }
  }
}

export const channels = new Channels();
