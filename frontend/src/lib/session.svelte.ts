// Who reads. Asked before anything else, so that nothing is asked for that would be refused.
import { get, loggedOut, remove } from "../api/client";
import type { Me } from "../api/schema";
import { router } from "./router.svelte";

const RETRY = 3_000;

class Session {
  /** Null: not known yet. */
  me: Me | null = $state.raw(null);
  /** Whether the first answer is late because nothing answers. */
  away: boolean = $state(false);
  /** Set while logging out, or in anew: what would be refused from then on is not asked for any more. */
  leaving: boolean = $state(false);
  readonly inside: boolean = $derived(this.me !== null && this.me.kind !== "nobody");
  /** A viewer looks only. */
  readonly mayChange: boolean = $derived(this.me?.role !== "viewer");
  #retry: ReturnType<typeof setTimeout> | undefined;
  #asking: Promise<void> | null = null;
  /** Whose rules, lists and alerts this page holds. */
  #reader: string | null = null;

  start(): () => void {
    loggedOut.tell = () => void this.ask();
    // Somebody may have logged in in another tab.
    const back = () => !document.hidden && !this.inside && void this.ask();
    document.addEventListener("visibilitychange", back);
    void this.ask();
    return () => {
      loggedOut.tell = () => undefined;
      document.removeEventListener("visibilitychange", back);
      clearTimeout(this.#retry);
    };
  }

  ask(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => (this.#asking = null));
    return this.#asking;
  }

  /** After a log-in: to where one wanted to go. By loading anew, so that nothing of whoever was here before is left. */
  enter(): void {
    if (["login", "setup"].includes(router.view.name)) location.replace("/");
    else location.reload();
  }

  /** Problem when it did not work; then one is still logged in. */
  async leave(everywhere: boolean): Promise<void> {
    this.leaving = true;
    try {
      await remove(everywhere ? "/api/v1/sessions" : "/api/v1/session", {});
    } catch (error) {
      this.leaving = false;
      throw error;
    }
    location.assign("/login");
  }

  /** While this session is put in the place of another nothing is asked that the old one would be refused. */
  async exchange(work: () => Promise<unknown>): Promise<void> {
    this.leaving = true;
    try {
      await work();
    } finally {
      this.leaving = false;
    }
  }

  async #ask(): Promise<void> {
    clearTimeout(this.#retry);
    let found: Me;
    try {
      found = await get("/api/v1/session");
    } catch {
      this.away = true;
      if (!this.me) this.#retry = setTimeout(() => void this.ask(), RETRY);
      return;
    }
    this.away = false;
    const inside = found.kind !== "nobody";
    if (inside && this.#reader !== null && this.#reader !== found.name) return location.reload();
    if (inside) this.#reader = found.name;
    this.me = found;
  }
}

export const session = new Session();
