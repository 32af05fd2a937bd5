// Numbers drawn as curves: over the candles, over the volume, or in a pane of their own below.
import {
  HistogramSeries,
  LineSeries,
  type IChartApi,
  type ISeriesApi,
  type LineData,
  type UTCTimestamp,
  type WhitespaceData,
} from "lightweight-charts";
import { number, percent } from "../../lib/format";

export interface Curve {
  /** Curves of one pane share a scale. "price" and "volume" are those that are there already. */
  pane: string;
  /** The value at the candle that begins then, epoch ms; null: not known. */
  at: (start: number) => number | null;
  unit: string;
  colour: string;
  bars: boolean;
}

type Drawn = ISeriesApi<"Line"> | ISeriesApi<"Histogram">;

const MAIN = 3; // times as high as a pane below

export class Panes {
  #curves: Curve[] = [];
  #drawn: Drawn[] = [];

  constructor(private chart: IChartApi) {}

  /** All of them, in place of those before; `starts`: of the candles and of what is missing between them. */
  set(curves: Curve[], starts: number[]): void {
    for (const series of this.#drawn) this.chart.removeSeries(series); // a pane goes with its last one
    this.#curves = curves;
    const own = [...new Set(curves.map(({ pane }) => pane))].filter((pane) => pane !== "price" && pane !== "volume");
    this.#drawn = curves.map((curve) => this.#made(curve, own.indexOf(curve.pane) + 1));
    this.chart.panes().forEach((pane, place) => pane.setStretchFactor(place ? 1 : MAIN));
    this.redraw(starts);
  }

  redraw(starts: number[]): void {
    this.#curves.forEach((curve, i) => {
      const values = starts.map((start) => curve.at(start));
      const last = values.findLastIndex((value) => value !== null);
      const data = starts.map((start, place): LineData<UTCTimestamp> | WhitespaceData<UTCTimestamp> => {
        const [time, value] = [(start / 1000) as UTCTimestamp, values[place] ?? null];
        if (value === null) return { time };
        // A line goes on over what is missing, in the colour of the point before: nobody knows what was there.
        return !curve.bars && place < last && values[place + 1] === null ? { time, value, color: "transparent" } : { time, value };
      });
      this.#drawn[i]?.setData(data);
    });
  }

  #made(curve: Curve, pane: number): Drawn {
    const minMove = 1e-12;
    const shown = {
      color: curve.colour,
      priceLineVisible: false,
      lastValueVisible: pane > 0,
      priceFormat: { type: "custom" as const, minMove, formatter: curve.unit === "fraction" ? percent : number },
      ...(curve.pane === "volume" ? { priceScaleId: "volume" } : {}),
    };
    if (curve.bars) return this.chart.addSeries(HistogramSeries, { ...shown, lastValueVisible: false }, pane);
    return this.chart.addSeries(LineSeries, { ...shown, lineWidth: 2, crosshairMarkerRadius: 3 }, pane);
  }
}
