// Which view an address is. The server answers these addresses with the page: VIEWS in web/page.py.

export type View =
  | { name: "market" }
  | { name: "coin"; asset: string; currency: string }
  | { name: "login" }
  | { name: "setup" }
  | { name: "nothing" };

/** What the navigation shows, in order. */
export const NAVIGATION: { name: View["name"]; title: string; href: string }[] = [
  { name: "market", title: "Market", href: "/" },
];

function viewOf(path: string): View {
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  if (!parts.length) return { name: "market" };
  if (parts.length === 1 && (parts[0] === "login" || parts[0] === "setup")) return { name: parts[0] };
  const [first, asset, currency] = parts;
  if (first === "coin" && asset && currency && parts.length === 3) return { name: "coin", asset, currency };
  return { name: "nothing" };
}

export function coinHref(pair: string): string {
  return `/coin/${pair.split("/").map(encodeURIComponent).join("/")}`;
}

class Router {
  view: View = $state.raw(viewOf(location.pathname));
  /** `#alert-…`: what messages link to. */
  hash: string = $state(location.hash);
  #scroll = new Map<string, number>();

  start(): () => void {
    history.scrollRestoration = "manual";
    const popped = () => {
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

  go(href: string): void {
    this.#scroll.set(location.pathname, scrollY);
    history.pushState(null, "", href);
    this.#show();
    scrollTo(0, 0);
    // What reads the page aloud begins at the new view, as after loading a document.
    requestAnimationFrame(() => document.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true }));
  }

  /** What stands behind the # is a secret: it is taken out of the address and of the browser's history. */
  forgetHash(): void {
    history.replaceState(history.state, "", location.pathname);
    this.hash = "";
  }

  #show(): void {
    this.view = viewOf(location.pathname);
    this.hash = location.hash;
  }
}

export const router = new Router();
