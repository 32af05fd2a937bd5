// Dark and light: the system's, or what the reader chose instead. public/static/theme.js puts a choice in place
// before the first paint.

export type Theme = "dark" | "light";

const system = matchMedia("(prefers-color-scheme: dark)");

function chosen(): Theme | null {
  const set = document.documentElement.dataset.theme;
  return set === "dark" || set === "light" ? set : null;
}

class ThemeState {
  #system: Theme = $state(system.matches ? "dark" : "light");
  #chosen: Theme | null = $state(chosen());

  constructor() {
    system.addEventListener("change", () => (this.#system = system.matches ? "dark" : "light"));
  }

  get shown(): Theme {
    return this.#chosen ?? this.#system;
  }

  /** The other one. The system's own again is no choice. */
  switch(): void {
    const next = this.shown === "dark" ? "light" : "dark";
    this.#chosen = next === this.#system ? null : next;
    if (this.#chosen) document.documentElement.dataset.theme = this.#chosen;
    else delete document.documentElement.dataset.theme;
    remember("theme", this.#chosen);
  }
}

export const theme = new ThemeState();

/** Keep a small thing in this browser; where that is forbidden it is forgotten. */
export function remember(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
  } catch {
    // forgotten
  }
}

export function remembered(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}
