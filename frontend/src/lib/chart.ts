// Candles, 24 h volume, what was not watched, alerts, rules and other numbers of one pair, drawn by
// lightweight-charts. Only views with a chart load this.
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
import { Band } from "../parts/coin/band";
import { coloursOf, type Colours } from "../parts/coin/colours";
import { Panes, type Curve } from "../parts/coin/panes";
import { sightOf, slotsOf, startOf, type Sight, type Slot } from "./candles";
import { date, moment, month, number, time, year } from "./format";

/** What of an alert is drawn. `hit`: whether a signal came true; null: not known. */
export interface Marked extends Pick<AlertInList, "id" | "event_time_ms" | "advice"> {
  hit?: boolean | null;
}

export interface Line {
  price: number;
  title: string;
}

export interface Told {
  /** The candle under the pointer, or the beginning of one that is missing. */
  over: (candle: CandleAnswer | null, start?: number | null) => void;
  /** What lies before the first candle comes into view. */
  older: () => void;
  /** An alert's marker was clicked, or is under the pointer. */
  opened?: (alert: string) => void;
  pointed?: (alert: string | null) => void;
  /** A stretch was drawn, from the beginning of one candle to that of another. */
  picked?: (from: number, to: number) => void;
}

export class Chart {
  /** Called whenever a price may have come to lie at another height. */
  onlaid: (() => void) | null = null;
  #chart: IChartApi;
  #candles: ISeriesApi<"Candlestick">;
  #volume: ISeriesApi<"Histogram">;
  #blind: ISeriesApi<"Histogram">;
  #markers: ISeriesMarkersPluginApi<UTCTimestamp>;
  #band: Band;
  #panes: Panes;
  #lines: IPriceLine[] = [];
  #colours: Colours;
  #slots: Slot[] = [];
  #places = new Map<number, number>(); // beginning of a slot → its place
  #alerts: Marked[] = [];
  #rules: Line[] = [];
  #stretch: { from: number; to: number } | null = null;
  #interval = 60_000;
  #picking = false;

  constructor(
    private element: HTMLElement,
    private told: Told,
  ) {
    this.#chart = createChart(element, {
      autoSize: true,
      layout: {
        attributionLogo: false,
        fontFamily: getComputedStyle(element).fontFamily,
        fontSize: 11.5,
        panes: { enableResize: true },
      },
      crosshair: { mode: CrosshairMode.Normal },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.08, bottom: 0.24 } },
      timeScale: { borderVisible: false, timeVisible: true, secondsVisible: false, rightOffset: 4, tickMarkFormatter: tick },
      localization: { timeFormatter: (at: UTCTimestamp) => moment(at * 1000) },
      handleScale: { axisPressedMouseMove: { price: false } },
    });
    const below = { priceLineVisible: false, lastValueVisible: false };
    this.#blind = this.#chart.addSeries(HistogramSeries, { ...below, priceScaleId: "blind" });
    this.#blind.priceScale().applyOptions({ scaleMargins: { top: 0, bottom: 0 } });
    this.#volume = this.#chart.addSeries(HistogramSeries, { ...below, priceScaleId: "volume", priceFormat: { type: "volume" } });
    this.#volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.#candles = this.#chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.#markers = createSeriesMarkers(this.#candles as ISeriesApi<"Candlestick", UTCTimestamp>, []);
    const scale = this.#chart.timeScale();
    this.#band = new Band(
      (slot) => scale.logicalToCoordinate(slot as Logical),
      () => scale.options().barSpacing,
      () => this.onlaid?.(),
    );
    this.#candles.attachPrimitive(this.#band);
    this.#panes = new Panes(this.#chart);
    this.#colours = this.#paint();
    this.#listen();
  }

  #listen(): void {
    this.#chart.subscribeCrosshairMove((at) => {
      const start = at.time === undefined ? null : (at.time as number) * 1000;
      const slot = start === null ? undefined : this.#slots[this.#places.get(start) ?? -1];
      this.told.over(typeof slot === "object" ? slot : null, start);
      this.told.pointed?.(alertAt(at));
    });
    this.#chart.subscribeClick((at) => {
      const alert = alertAt(at);
      if (alert) this.told.opened?.(alert);
    });
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range && range.from < 20 && this.#slots.length) this.told.older();
    });
    let begun: { pointer: number; slot: number } | null = null;
    const x = (event: PointerEvent) => event.clientX - this.element.getBoundingClientRect().left;
    this.element.addEventListener("pointerdown", (event) => {
      const slot = this.#picking && !event.button ? this.#slotAt(x(event)) : null;
      if (slot === null) return;
      begun = { pointer: event.pointerId, slot };
      this.element.setPointerCapture(event.pointerId);
      this.#show(slot, slot);
    });
    this.element.addEventListener("pointermove", (event) => {
      const slot = begun?.pointer === event.pointerId ? this.#slotAt(x(event)) : null;
      if (begun && slot !== null) this.#show(begun.slot, slot);
    });
    this.element.addEventListener("pointerup", (event) => {
      if (begun?.pointer !== event.pointerId) return;
      begun = null;
      if (this.#stretch) this.told.picked?.(this.#stretch.from, this.#stretch.to);
    });
    this.element.addEventListener("pointercancel", () => (begun = null));
  }

  /** All candles of an interval, oldest first; `fresh`: another pair or interval than before. */
  show(candles: CandleAnswer[], interval: number, fresh: boolean): void {
    const range = fresh ? null : this.#chart.timeScale().getVisibleLogicalRange();
    const before = this.#slots.length;
    this.#interval = interval;
    this.#slots = slotsOf(candles, interval);
    this.#places = new Map(this.#slots.map((slot, place) => [startOf(slot), place]));
    const last = candles.at(-1);
    if (last) {
      const format = { type: "custom" as const, formatter: number, minMove: 10 ** (Math.floor(Math.log10(last.close)) - 5) };
      this.#candles.applyOptions({ priceFormat: format });
    }
    this.#chart.applyOptions({ timeScale: { timeVisible: interval < 86_400_000 } });
    this.#draw();
    if (range) {
      const grown = this.#slots.length - before;
      const moved = { from: (range.from + grown) as Logical, to: (range.to + grown) as Logical };
      if (grown > 1) this.#chart.timeScale().setVisibleLogicalRange(moved);
    } else {
      const fits = Math.max(40, Math.floor(this.element.clientWidth / 9)); // bars that are easy to see
      this.#look(this.#slots.length - Math.min(fits, Math.max(this.#slots.length + 2, 70)), this.#slots.length + 3);
    }
  }

  /** The newest candle as it stands now: the last one given, or the one after it. */
  update(candle: CandleAnswer): void {
    const last = this.#slots.at(-1);
    if (last === undefined || startOf(last) !== candle.start_ms) this.#places.set(candle.start_ms, this.#slots.length);
    this.#slots[this.#places.get(candle.start_ms) ?? 0] = candle;
    this.#candles.update(bar(candle));
    this.#volume.update(this.#volumeOf(candle));
  }

  /** That stretch, epoch ms, with a little around it. */
  look(from: number, to: number): void {
    const [first, last] = [this.#placeOf(from), this.#placeOf(to)];
    const around = Math.max(3, (last - first) * 0.15);
    this.#look(first - around, last + around);
  }

  mark(alerts: Marked[]): void {
    this.#alerts = alerts;
    this.#drawMarkers();
  }

  draw(lines: Line[]): void {
    this.#rules = lines;
    this.#drawLines();
  }

  /** Put one of the lines that were drawn last at another price. */
  move(at: number, price: number): void {
    this.#lines[at]?.applyOptions({ price });
  }

  /** How far below the chart's top a price lies, in pixels; null where it cannot be said. */
  yOf(price: number): number | null {
    return this.#candles.priceToCoordinate(price);
  }

  priceAt(y: number): number | null {
    return this.#candles.coordinateToPrice(y);
  }

  curves(curves: Curve[]): void {
    this.#panes.set(curves, this.#slots.map(startOf));
  }

  /** After values have changed. */
  recurve(): void {
    this.#panes.redraw(this.#slots.map(startOf));
  }

  /** A band over the candles that begin then; null: none. */
  stretch(stretch: { from: number; to: number } | null): void {
    this.#stretch = stretch;
    const edges = { colour: this.#colours.accentSoft, edge: this.#colours.accent };
    this.#band.set(stretch && { from: this.#placeOf(stretch.from), to: this.#placeOf(stretch.to), ...edges });
  }

  /** Whether dragging draws a stretch and does not scroll. */
  pick(on: boolean): void {
    this.#picking = on;
    const scale = { mouseWheel: !on, pinch: !on, axisPressedMouseMove: { time: !on, price: false } };
    this.#chart.applyOptions({ handleScroll: !on, handleScale: scale });
  }

  /** In the colours of the theme that is shown. */
  repaint(): void {
    this.#colours = this.#paint();
    this.#draw();
  }

  end(): void {
    this.#chart.remove();
  }

  #show(one: number, other: number): void {
    const [first, last] = [this.#slots[Math.min(one, other)], this.#slots[Math.max(one, other)]];
    if (first !== undefined && last !== undefined) this.stretch({ from: startOf(first), to: startOf(last) });
  }

  #look(from: number, to: number): void {
    this.#chart.timeScale().setVisibleLogicalRange({ from: from as Logical, to: to as Logical });
  }

  /** The slot that begins at or before a time. */
  #placeOf(ms: number): number {
    const found = this.#places.get(ms - (ms % this.#interval));
    if (found !== undefined) return found;
    const after = this.#slots.findIndex((slot) => startOf(slot) > ms);
    return after < 0 ? this.#slots.length - 1 : Math.max(0, after - 1);
  }

  #slotAt(x: number): number | null {
    const place = this.#chart.timeScale().coordinateToLogical(x);
    return place === null || !this.#slots.length ? null : Math.min(Math.max(Math.round(place), 0), this.#slots.length - 1);
  }

  #draw(): void {
    const slots = this.#slots;
    this.#candles.setData(slots.map((slot) => (typeof slot === "number" ? blank(slot) : bar(slot))));
    this.#volume.setData(slots.map((slot) => (typeof slot === "number" ? blank(slot) : this.#volumeOf(slot))));
    this.#blind.setData(slots.map((slot) => this.#blindOf(slot)));
    this.#panes.redraw(slots.map(startOf));
    this.stretch(this.#stretch);
    this.#drawMarkers();
    this.#drawLines();
  }

  #volumeOf(candle: CandleAnswer): HistogramData<UTCTimestamp> | WhitespaceData<UTCTimestamp> {
    const at = seconds(candle.start_ms);
    if (candle.volume_24h === null) return { time: at };
    return { time: at, value: candle.volume_24h, color: candle.close < candle.open ? this.#colours.downSoft : this.#colours.upSoft };
  }

  #blindOf(slot: Slot): HistogramData<UTCTimestamp> | WhitespaceData<UTCTimestamp> {
    const shades: Record<Sight, string> = { ...this.#colours, nothing: this.#colours.blind, watched: "" };
    const color = shades[sightOf(slot, this.#interval)];
    return color ? { time: seconds(startOf(slot)), value: 1, color } : blank(startOf(slot));
  }

  #drawMarkers(): void {
    const first = this.#slots[0] === undefined ? Infinity : startOf(this.#slots[0]);
    const markers = this.#alerts
      .filter((alert) => alert.event_time_ms >= first)
      .map((alert): SeriesMarker<UTCTimestamp> => {
        const at = seconds(alert.event_time_ms - (alert.event_time_ms % this.#interval));
        const outcome = alert.hit === undefined || alert.hit === null ? {} : { text: alert.hit ? "✓" : "✗" };
        const look = { time: at, id: alert.id, size: 1, ...outcome };
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
      layout: {
        background: { color: "transparent" },
        textColor: colours.muted,
        panes: { separatorColor: colours.line, separatorHoverColor: colours.accentSoft },
      },
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

const seconds = (ms: number) => (ms / 1000) as UTCTimestamp;
const blank = (ms: number): WhitespaceData<UTCTimestamp> => ({ time: seconds(ms) });

function alertAt(at: { hoveredInfo?: { objectId?: unknown } }): string | null {
  const id = at.hoveredInfo?.objectId;
  return typeof id === "string" ? id : null;
}

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
