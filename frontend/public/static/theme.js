// Before anything is drawn: a reader's own choice against the system's. See src/lib/theme.svelte.ts.
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  // storage may be forbidden: then the system's
}
