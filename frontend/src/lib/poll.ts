/** Asks now, then again and again while somebody looks, and at once when the page is looked at again. */
export function whileSeen(every: number, ask: () => unknown): () => void {
  const look = () => document.hidden || ask();
  ask();
  const timer = setInterval(look, every);
  document.addEventListener("visibilitychange", look);
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", look);
  };
}
