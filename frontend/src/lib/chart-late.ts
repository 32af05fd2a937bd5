// Charts weigh as much as the rest of a first look: they are loaded when one is first drawn.
import type { Chart, Told } from "./chart";
import { notices } from "./notices.svelte";

/** A chart in an element, once it is loaded; ends it, also one that is still to come. */
export function chartIn(element: HTMLElement, told: Told, made: (chart: Chart) => void): () => void {
  let chart: Chart | null = null;
  let ended = false;
  import("./chart").then(
    ({ Chart }) => {
      if (ended) return;
      chart = new Chart(element, told);
      made(chart);
    },
    () => notices.complain("The chart could not be loaded: the watcher does not answer, or it was updated. Load the page again."),
  );
  return () => {
    ended = true;
    chart?.end();
  };
}
