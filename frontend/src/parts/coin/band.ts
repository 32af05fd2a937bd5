// A stretch of time as a band behind the candles. It also hears when the chart's scales may have moved.
import type {
  IPrimitivePaneRenderer,
  IPrimitivePaneView,
  ISeriesPrimitive,
  SeriesAttachedParameter,
  Time,
} from "lightweight-charts";

type Target = Parameters<IPrimitivePaneRenderer["draw"]>[0];

export class Band implements ISeriesPrimitive<Time> {
  #ask: (() => void) | null = null;
  #views: readonly IPrimitivePaneView[];
  #drawn: { from: number; to: number; colour: string; edge: string } | null = null;

  /** `xOf`: where the middle of a slot is, in pixels; `width`: of a slot. */
  constructor(
    private xOf: (slot: number) => number | null,
    private width: () => number,
    private laid: () => void,
  ) {
    const renderer: IPrimitivePaneRenderer = { draw: (target) => this.#draw(target) };
    this.#views = [{ zOrder: () => "bottom", renderer: () => renderer }];
  }

  /** From one slot to another, both inside; null: nothing. */
  set(band: { from: number; to: number; colour: string; edge: string } | null): void {
    this.#drawn = band;
    this.#ask?.();
  }

  attached({ requestUpdate }: SeriesAttachedParameter<Time>): void {
    this.#ask = requestUpdate;
  }

  detached(): void {
    this.#ask = null;
  }

  updateAllViews(): void {
    this.laid();
  }

  paneViews(): readonly IPrimitivePaneView[] {
    return this.#views;
  }

  #draw(target: Target): void {
    const band = this.#drawn;
    if (!band) return;
    const [from, to] = [this.xOf(band.from), this.xOf(band.to)];
    if (from === null || to === null) return;
    target.useBitmapCoordinateSpace(({ context, bitmapSize, horizontalPixelRatio: ratio }) => {
      const half = this.width() / 2;
      const [left, right] = [(from - half) * ratio, (to + half) * ratio];
      context.fillStyle = band.colour;
      context.fillRect(left, 0, right - left, bitmapSize.height);
      context.fillStyle = band.edge;
      for (const x of [left, right]) context.fillRect(Math.round(x), 0, Math.max(1, Math.round(ratio)), bitmapSize.height);
    });
  }
}
