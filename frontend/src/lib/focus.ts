import { tick } from "svelte";

/** What had the focus may be gone by what was just done: then the reader goes on there, and not at the page's begin. */
export async function keepFocus(there = "h1"): Promise<void> {
  await tick();
  if (document.activeElement && document.activeElement !== document.body) return;
  document.querySelector<HTMLElement>(there)?.focus({ preventScroll: true });
}
