// Charts weigh as much as the rest of a first look: they are loaded when one is first drawn.
import type { Chart, Told } from "./chart";
import { notices } from "./notices.svelte";

/** A chart in an element, once it is loaded. What is returned ends it, also one that is still to come, and `ended` lets
 *  go of it: a chart that is asked for anything afterwards draws into canvases that are gone. */
export function chartIn(element: HTMLElement, told: Told, made: (chart: Chart) => void, ended: () => void): () => void {
  let chart: Chart | null = null;
  let over = false;
  import("./chart").then(
    ({ Chart }) => {
      if (over) return;
      chart = new Chart(element, told);
      made(chart);
    },
    () => notices.complain("The chart could not be loaded: the watcher does not answer, or it was updated. Load the page again."),
  );
  return () => {
    over = true;
    ended();
    chart?.end();
  };
}
