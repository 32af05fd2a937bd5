// Messages of the watcher as notifications of this browser, and the page as an app. What happens while no page is open
// is public/sw.js.
import { get, Problem, put } from "../api/client";
import type { ChannelAnswer } from "../api/schema";
import { router } from "./router.svelte";

/** What public/sw.js reads. */
const KEPT = "push";
const MINE = "/kept/channel";

interface Mine {
  name: string;
  endpoint: string;
}

/** A browser's offer to install the page; only some make it. */
interface InstallEvent extends Event {
  prompt(): Promise<unknown>;
}

/** Why there can be no notifications here; "" when there can be. */
export type Hindrance = "" | "insecure" | "not installed" | "not supported";

class Push {
  hindrance: Hindrance = $state("");
  permission: NotificationPermission = $state("default");
  /** The channel that this browser is, as far as it knows. */
  mine: Mine | null = $state.raw(null);
  busy: boolean = $state(false);
  /** Why the last attempt failed. */
  trouble: string = $state("");
  offer: InstallEvent | null = $state.raw(null);

  start(): () => void {
    this.hindrance = hindrance();
    if (!("serviceWorker" in navigator)) return () => undefined;
    const offered = (event: Event) => {
      event.preventDefault();
      this.offer = event as InstallEvent;
    };
    const told = ({ data }: MessageEvent) => typeof data?.go === "string" && router.go(data.go);
    addEventListener("beforeinstallprompt", offered);
    navigator.serviceWorker.addEventListener("message", told);
    void this.#begin();
    return () => {
      removeEventListener("beforeinstallprompt", offered);
      navigator.serviceWorker.removeEventListener("message", told);
    };
  }

  async install(): Promise<void> {
    await this.offer?.prompt();
    this.offer = null;
  }

  /** Asks the reader, subscribes anew and saves it as a channel of theirs. True when it is one. */
  async enable(channels: ChannelAnswer[]): Promise<boolean> {
    if (this.busy) return false;
    this.busy = true;
    this.trouble = "";
    try {
      await this.#enable(channels);
      return true;
    } catch (error) {
      this.trouble = wordsOf(error);
      return false;
    } finally {
      this.permission = Notification.permission;
      this.busy = false;
    }
  }

  /** Nothing comes to this browser any more; the channel is removed by whoever asks for that. */
  async forget(): Promise<void> {
    const found = await navigator.serviceWorker.getRegistration();
    await (await found?.pushManager.getSubscription())?.unsubscribe();
    await (await caches.open(KEPT)).delete(MINE);
    this.mine = null;
  }

  async #begin(): Promise<void> {
    try {
      const registration = await navigator.serviceWorker.register("/sw.js");
      if (this.hindrance) return;
      this.permission = Notification.permission;
      this.mine = ((await (await (await caches.open(KEPT)).match(MINE))?.json()) as Mine | undefined) ?? null;
      if (this.mine) registration.active?.postMessage({ renew: true });
    } catch {
      // Private windows may have none of this, and then there is no switch to press.
      this.hindrance ||= "not supported";
    }
  }

  async #enable(channels: ChannelAnswer[]): Promise<void> {
    if ((await Notification.requestPermission()) !== "granted") return;
    const { key } = await get("/api/v1/push/key");
    const { pushManager } = await navigator.serviceWorker.ready;
    // Anew each time: the one before may be what the push service does not know any more, or somebody else's.
    await (await pushManager.getSubscription())?.unsubscribe();
    const subscription = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
    const { endpoint = "", keys = {} } = subscription.toJSON();
    const before = channels.find((each) => each.name === this.mine?.name && each.kind === "webpush" && each.origin === "owner");
    const name = before?.name ?? free(browserName(), channels);
    const settings = { ...before?.settings, browser: browserWords() };
    await put("/api/v1/channels/{name}", { path: { name }, body: { kind: "webpush", settings, secrets: { endpoint, ...keys } } });
    await (await caches.open(KEPT)).put(MINE, new Response(JSON.stringify({ name, endpoint })));
    this.mine = { name, endpoint };
  }
}

export const push = new Push();

function hindrance(): Hindrance {
  if (!isSecureContext) return "insecure";
  const phone = /iPhone|iPad/.test(navigator.userAgent);
  if (phone && !matchMedia("(display-mode: standalone)").matches) return "not installed";
  return "serviceWorker" in navigator && "PushManager" in window && "Notification" in window ? "" : "not supported";
}

function wordsOf(error: unknown): string {
  if (error instanceof Problem) return error.said;
  if (error instanceof DOMException) return `The browser’s own push service said no: ${error.message || error.name}`;
  throw error;
}

/** Which browser, on what. */
function browserAndSystem(): [string, string] {
  const agent = navigator.userAgent;
  const browsers: [RegExp, string][] = [[/Edg\//, "Edge"], [/OPR\//, "Opera"], [/Firefox\//, "Firefox"], [/Chrome\//, "Chrome"], [/Safari\//, "Safari"]];
  const systems: [RegExp, string][] = [[/iPhone/, "iPhone"], [/iPad/, "iPad"], [/Android/, "Android"], [/Windows/, "Windows"], [/Mac OS/, "Mac"], [/Linux/, "Linux"]];
  const of = (known: [RegExp, string][], other: string) => known.find(([pattern]) => pattern.test(agent))?.[1] ?? other;
  return [of(browsers, "Browser"), of(systems, "")];
}

function browserWords(): string {
  return browserAndSystem().filter(Boolean).join(" on ");
}

function browserName(): string {
  return browserAndSystem().filter(Boolean).join("-").toLowerCase();
}

/** The name, or with a number behind it when it is taken. */
export function free(name: string, channels: { name: string }[]): string {
  const taken = new Set(channels.map((each) => each.name));
  for (let number = 1; ; number++) {
    const found = number === 1 ? name : `${name}-${number}`;
    if (!taken.has(found)) return found;
  }
}
