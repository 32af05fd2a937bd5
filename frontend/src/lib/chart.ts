// Candles, 24 h volume, what was not watched, alerts and rules of one pair, drawn by lightweight-charts. Only the
// coin's view loads this.
import {
  CandlestickSeries,
  createChart,
  createSeriesMarkers,
  CrosshairMode,
  HistogramSeries,
  LineStyle,
  TickMarkType,
  type CandlestickData,
  type HistogramData,
  type IChartApi,
  type IPriceLine,
  type ISeriesApi,
  type ISeriesMarkersPluginApi,
  type Logical,
  type SeriesMarker,
  type UTCTimestamp,
  type WhitespaceData,
} from "lightweight-charts";
import type { AlertInList, CandleAnswer } from "../api/schema";
import { date, moment, month, number, time, year } from "./format";

export interface Line {
  price: number;
  title: string;
}

const SEEN_ENOUGH = 0.5; // of an interval; less counts as not watched
const MOST_BLANKS = 5_000;

export class Chart {
  #chart: IChartApi;
  #candles: ISeriesApi<"Candlestick">;
  #volume: ISeriesApi<"Histogram">;
  #blind: ISeriesApi<"Histogram">;
  #markers: ISeriesMarkersPluginApi<UTCTimestamp>;
  #lines: IPriceLine[] = [];
  #colours: Colours;
  #given: CandleAnswer[] = [];
  #alerts: AlertInList[] = [];
  #rules: Line[] = [];
  #interval = 60_000;

  constructor(
    private element: HTMLElement,
    private told: { over: (candle: CandleAnswer | null) => void; older: () => void },
  ) {
    this.#chart = createChart(element, {
      autoSize: true,
      layout: { attributionLogo: false, fontFamily: getComputedStyle(element).fontFamily, fontSize: 11.5 },
      crosshair: { mode: CrosshairMode.Normal },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.08, bottom: 0.24 } },
      timeScale: { borderVisible: false, timeVisible: true, secondsVisible: false, rightOffset: 4, tickMarkFormatter: tick },
      localization: { timeFormatter: (at: UTCTimestamp) => moment(at * 1000) },
      handleScale: { axisPressedMouseMove: { price: false } },
    });
    this.#blind = this.#chart.addSeries(HistogramSeries, {
      priceScaleId: "blind",
      priceLineVisible: false,
      lastValueVisible: false,
    });
    this.#blind.priceScale().applyOptions({ scaleMargins: { top: 0, bottom: 0 } });
    this.#volume = this.#chart.addSeries(HistogramSeries, {
      priceScaleId: "volume",
      priceLineVisible: false,
      lastValueVisible: false,
      priceFormat: { type: "volume" },
    });
    this.#volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.#candles = this.#chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.#markers = createSeriesMarkers(this.#candles as ISeriesApi<"Candlestick", UTCTimestamp>, []);
    this.#colours = this.#paint();
    this.#chart.subscribeCrosshairMove((at) => {
      this.told.over(at.time === undefined ? null : (this.#at((at.time as number) * 1000) ?? null));
    });
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range && range.from < 20 && this.#given.length) this.told.older();
    });
  }

  /** All candles of an interval, oldest first; `fresh`: another pair or interval than before. */
  show(candles: CandleAnswer[], interval: number, fresh: boolean): void {
    const range = fresh ? null : this.#chart.timeScale().getVisibleLogicalRange();
    const before = this.#slots(this.#given).length;
    this.#given = candles;
    this.#interval = interval;
    const last = candles.at(-1);
    if (last) {
      const format = { type: "custom" as const, formatter: number, minMove: 10 ** (Math.floor(Math.log10(last.close)) - 5) };
      this.#candles.applyOptions({ priceFormat: format });
    }
    this.#chart.applyOptions({ timeScale: { timeVisible: interval < 86_400_000 } });
    this.#draw();
    if (range) {
      const grown = this.#slots(candles).length - before;
      const moved = { from: (range.from + grown) as Logical, to: (range.to + grown) as Logical };
      if (grown > 1) this.#chart.timeScale().setVisibleLogicalRange(moved);
    } else {
      const all = this.#slots(candles).length;
      const fits = Math.max(40, Math.floor(this.element.clientWidth / 9)); // bars that are easy to see
      const bars = Math.min(fits, Math.max(all + 2, 70));
      this.#chart.timeScale().setVisibleLogicalRange({ from: (all - bars) as Logical, to: (all + 3) as Logical });
    }
  }

  /** The newest candle as it stands now: the last one given, or the one after it. */
  update(candle: CandleAnswer): void {
    const last = this.#given.at(-1);
    if (last && last.start_ms === candle.start_ms) this.#given[this.#given.length - 1] = candle;
    else this.#given.push(candle);
    this.#candles.update(bar(candle));
    this.#volume.update(this.#volumeOf(candle));
  }

  mark(alerts: AlertInList[]): void {
    this.#alerts = alerts;
    this.#drawMarkers();
  }

  draw(lines: Line[]): void {
    this.#rules = lines;
    this.#drawLines();
  }

  /** In the colours of the theme that is shown. */
  repaint(): void {
    this.#colours = this.#paint();
    this.#draw();
  }

  end(): void {
    this.#chart.remove();
  }

  #at(ms: number): CandleAnswer | undefined {
    return this.#given.find((candle) => candle.start_ms === ms);
  }

  #draw(): void {
    const slots = this.#slots(this.#given);
    this.#candles.setData(slots.map((slot) => (typeof slot === "number" ? blank(slot) : bar(slot))));
    this.#volume.setData(slots.map((slot) => (typeof slot === "number" ? blank(slot) : this.#volumeOf(slot))));
    this.#blind.setData(slots.map((slot) => this.#blindOf(slot)));
    this.#drawMarkers();
    this.#drawLines();
  }

  /** The candles, and the beginnings of those that are missing between them. */
  #slots(candles: CandleAnswer[]): (CandleAnswer | number)[] {
    const slots: (CandleAnswer | number)[] = [];
    let blanks = 0;
    let next = candles[0]?.start_ms ?? 0;
    for (const candle of candles) {
      for (; next < candle.start_ms && blanks < MOST_BLANKS; next += this.#interval, blanks++) slots.push(next);
      slots.push(candle);
      next = candle.start_ms + this.#interval;
    }
    return slots;
  }

  #volumeOf(candle: CandleAnswer): HistogramData<UTCTimestamp> | WhitespaceData<UTCTimestamp> {
    const at = seconds(candle.start_ms);
    if (candle.volume_24h === null) return { time: at };
    return { time: at, value: candle.volume_24h, color: candle.close < candle.open ? this.#colours.downSoft : this.#colours.upSoft };
  }

  #blindOf(slot: CandleAnswer | number): HistogramData<UTCTimestamp> | WhitespaceData<UTCTimestamp> {
    if (typeof slot === "number") return { time: seconds(slot), value: 1, color: this.#colours.blind };
    const at = seconds(slot.start_ms);
    const forming = !slot.complete;
    return forming || slot.observed_ms >= this.#interval * SEEN_ENOUGH
      ? { time: at }
      : { time: at, value: 1, color: this.#colours.told };
  }

  #drawMarkers(): void {
    const first = this.#given[0]?.start_ms ?? Infinity;
    const markers = this.#alerts
      .filter((alert) => alert.event_time_ms >= first)
      .map((alert): SeriesMarker<UTCTimestamp> => {
        const at = seconds(alert.event_time_ms - (alert.event_time_ms % this.#interval));
        const look = { time: at, id: alert.id, size: 1 };
        if (alert.advice === "buy") return { ...look, position: "belowBar", shape: "arrowUp", color: this.#colours.up };
        if (alert.advice === "sell") return { ...look, position: "aboveBar", shape: "arrowDown", color: this.#colours.down };
        return { ...look, position: "aboveBar", shape: "circle", color: this.#colours.accent };
      });
    this.#markers.setMarkers(markers.sort((a, b) => a.time - b.time));
  }

  #drawLines(): void {
    for (const line of this.#lines) this.#candles.removePriceLine(line);
    this.#lines = this.#rules.map((rule) =>
      this.#candles.createPriceLine({
        price: rule.price,
        title: rule.title,
        color: this.#colours.accent,
        lineStyle: LineStyle.Dashed,
        lineWidth: 1,
        axisLabelVisible: true,
      }),
    );
  }

  #paint(): Colours {
    const colours = coloursOf(this.element);
    this.#chart.applyOptions({
      layout: { background: { color: "transparent" }, textColor: colours.muted },
      grid: { vertLines: { color: colours.line }, horzLines: { color: colours.line } },
      crosshair: {
        vertLine: { color: colours.muted, labelBackgroundColor: colours.accentStrong },
        horzLine: { color: colours.muted, labelBackgroundColor: colours.accentStrong },
      },
    });
    this.#candles.applyOptions({
      upColor: colours.up,
      downColor: colours.down,
      wickUpColor: colours.up,
      wickDownColor: colours.down,
    });
    return colours;
  }
}

interface Colours {
  up: string;
  down: string;
  upSoft: string;
  downSoft: string;
  accent: string;
  accentStrong: string;
  muted: string;
  line: string;
  blind: string;
  told: string;
}

/** As numbers: the chart paints on a canvas and knows no custom properties. */
function coloursOf(element: HTMLElement): Colours {
  const probe = element.appendChild(document.createElement("i"));
  const colour = (name: string) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const soft = (name: string, share: number) => colour(name).replace(/^rgb\((.*)\)$/, `rgba($1, ${share})`);
  const colours = {
    up: colour("up"),
    down: colour("down"),
    upSoft: soft("up", 0.28),
    downSoft: soft("down", 0.28),
    accent: colour("accent"),
    accentStrong: colour("accent-strong"),
    muted: colour("muted"),
    line: soft("line", 0.6),
    blind: soft("warn", 0.2),
    told: soft("muted", 0.09),
  };
  probe.remove();
  return colours;
}

const seconds = (ms: number) => (ms / 1000) as UTCTimestamp;
const blank = (ms: number): WhitespaceData<UTCTimestamp> => ({ time: seconds(ms) });

function bar(candle: CandleAnswer): CandlestickData<UTCTimestamp> {
  return { time: seconds(candle.start_ms), open: candle.open, high: candle.high, low: candle.low, close: candle.close };
}

/** Marks below the chart, in the reader's zone. */
function tick(at: UTCTimestamp, kind: TickMarkType): string {
  const ms = at * 1000;
  if (kind === TickMarkType.Year) return year(ms);
  if (kind === TickMarkType.Month) return month(ms);
  if (kind === TickMarkType.DayOfMonth) return date(ms);
  return time(ms);
}
