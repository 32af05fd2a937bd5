// Which view an address is. The server answers these addresses with the page: VIEWS in web/page.py.
import type { IconName } from "../parts/Icon.svelte";

export type View =
  | { name: "market" }
  | { name: "coin"; asset: string; currency: string }
  | { name: "rules" }
  | { name: "rule"; id: string }
  | { name: "alerts" }
  | { name: "alert"; id: string }
  | { name: "signals" }
  | { name: "channels" }
  | { name: "system" }
  | { name: "account" }
  | { name: "login" }
  | { name: "setup" }
  | { name: "nothing" };

/** What the navigation shows, in order. */
export const NAVIGATION: { name: View["name"]; of: View["name"][]; title: string; href: string; icon: IconName }[] = [
  { name: "market", of: ["market", "coin"], title: "Market", href: "/", icon: "chart" },
  { name: "alerts", of: ["alerts", "alert"], title: "Alerts", href: "/alerts", icon: "bell" },
  { name: "rules", of: ["rules", "rule"], title: "Rules", href: "/rules", icon: "sliders" },
  { name: "signals", of: ["signals"], title: "Signals", href: "/signals", icon: "target" },
  { name: "channels", of: ["channels"], title: "Channels", href: "/channels", icon: "send" },
  { name: "system", of: ["system"], title: "System", href: "/system", icon: "pulse" },
];

/** Views that are one word in the address. */
const PLAIN = ["rules", "alerts", "signals", "channels", "system", "account", "login", "setup"] as const;

function viewOf(path: string): View {
  const parts = path.split("/").filter(Boolean).map(decoded);
  if (!parts.length) return { name: "market" };
  const [first, second, third] = parts;
  const plain = PLAIN.find((each) => each === first);
  if (plain && parts.length === 1) return { name: plain };
  if (first === "coin" && second && third && parts.length === 3) return { name: "coin", asset: second, currency: third };
  if (first === "rules" && second && parts.length === 2) return { name: "rule", id: second };
  if (first === "alerts" && second && parts.length === 2) return { name: "alert", id: second };
  return { name: "nothing" };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // an address that somebody cut short
  }
}

export function coinHref(pair: string): string {
  return `/coin/${pair.split("/").map(encodeURIComponent).join("/")}`;
}

export function alertHref(id: string): string {
  return `/alerts/${encodeURIComponent(id)}`;
}

/** What messages linked to before alerts had an address of their own. */
function forwarded(): void {
  if (location.pathname === "/" && location.hash.startsWith("#alert-"))
    history.replaceState(null, "", alertHref(location.hash.slice("#alert-".length)));
}
forwarded();

class Router {
  view: View = $state.raw(viewOf(location.pathname));
  hash: string = $state(location.hash);
  /** What stands behind the ?: a filter. */
  query: string = $state(location.search);
  #scroll = new Map<string, number>();
  #holds: ((to: string) => boolean) | null = null;
  #here: string = location.pathname + location.search;

  start(): () => void {
    history.scrollRestoration = "manual";
    const popped = () => {
      if (this.#holds?.(location.pathname + location.search + location.hash)) return history.pushState(null, "", this.#here);
      this.#show();
      requestAnimationFrame(() => scrollTo(0, this.#scroll.get(location.pathname) ?? 0));
    };
    const clicked = (event: MouseEvent) => {
      if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      const link = (event.target as Element).closest?.("a");
      if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
      if (viewOf(link.pathname).name === "nothing" || (link.hash && link.pathname === location.pathname)) return;
      event.preventDefault();
      this.go(link.pathname + link.search + link.hash);
    };
    addEventListener("popstate", popped);
    document.addEventListener("click", clicked);
    return () => {
      removeEventListener("popstate", popped);
      document.removeEventListener("click", clicked);
    };
  }

  /** Asked before another view is shown: whoever answers yes keeps the reader here, and asks them. */
  holdWhile(holds: (to: string) => boolean): () => void {
    this.#holds = holds;
    return () => {
      if (this.#holds === holds) this.#holds = null;
    };
  }

  go(href: string): void {
    if (this.#holds?.(href)) return;
    this.#scroll.set(location.pathname, scrollY);
    history.pushState(null, "", href);
    this.#show();
    scrollTo(0, 0);
    // What reads the page aloud begins at the new view, as after loading a document; where that is still to come, before it.
    requestAnimationFrame(() => document.querySelector<HTMLElement>("h1, #main:not(:has(h1))")?.focus({ preventScroll: true }));
  }

  /** Another filter of the same view: the way back leads out of the view, not through all filters. */
  refine(query: URLSearchParams): void {
    history.replaceState(history.state, "", location.pathname + (query.size ? `?${query}` : ""));
    this.query = location.search;
  }

  /** What stands behind the # is a secret: it is taken out of the address and of the browser's history. */
  forgetHash(): void {
    history.replaceState(history.state, "", location.pathname);
    this.hash = "";
  }

  #show(): void {
    forwarded();
    this.view = viewOf(location.pathname);
    this.hash = location.hash;
    this.query = location.search;
    this.#here = location.pathname + location.search;
  }
}

export const router = new Router();
