// Numbers in significant digits, times in the reader's zone.

const SIGNS: Record<string, string> = { usd: "$", eur: "€", gbp: "£", jpy: "¥", inr: "₹", krw: "₩" };

const FORMATS = new Map<string, Intl.NumberFormat>();

/** Making a format takes longer than using it a hundred times, and a market is hundreds of numbers a second. */
function formatOf(least: number, most: number, roundingMode: "halfEven" | "halfExpand"): Intl.NumberFormat {
  const key = `${least} ${most} ${roundingMode}`;
  let found = FORMATS.get(key);
  if (!found) {
    const options = { minimumFractionDigits: least, maximumFractionDigits: most, roundingMode };
    found = new Intl.NumberFormat("en-US", options as Intl.NumberFormatOptions);
    FORMATS.set(key, found);
  }
  return found;
}

/** Six significant digits, never fewer than stand before the point; as the program's own texts write it. */
export function number(value: number): string {
  const size = Math.abs(value);
  if (size && (size < 1e-6 || size >= 1e15)) {
    return Number(value.toPrecision(6)).toExponential().replace("e+", "e");
  }
  const maximumFractionDigits = size ? Math.max(5 - Math.floor(Math.log10(size)), 0) : 0;
  return formatOf(0, maximumFractionDigits, "halfEven").format(value);
}

export function price(value: number, currency: string): string {
  const sign = SIGNS[currency];
  return sign ? sign + number(value) : `${number(value)} ${currency.toUpperCase()}`;
}

const COMPACT = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 4 });

export function large(value: number | null, currency: string): string {
  if (value === null) return "–";
  const sign = SIGNS[currency];
  return sign ? sign + COMPACT.format(value) : `${COMPACT.format(value)} ${currency.toUpperCase()}`;
}

/** A fraction as percent with its sign: +1.24 %, −12.4 %, +124 %. */
export function percent(fraction: number | null): string {
  if (fraction === null) return "–";
  const size = Math.abs(fraction * 100);
  const digits = size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
  const shown = formatOf(digits, digits, "halfExpand").format(size);
  const nothing = Number(shown.replaceAll(",", "")) === 0;
  return `${nothing ? "" : fraction < 0 ? "−" : "+"}${shown} %`;
}

/** How long ago, in its largest unit: 4 s, 12 min, 3 h, 5 d. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const CLOCK_SECONDS = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });
const DATE = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const MONTH = new Intl.DateTimeFormat(undefined, { month: "short" });
const WHOLE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long", hourCycle: "h23" });
const SHORT = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});

export const time = (ms: number) => CLOCK.format(ms);
export const timeSeconds = (ms: number) => CLOCK_SECONDS.format(ms);
export const date = (ms: number) => DATE.format(ms);
export const month = (ms: number) => MONTH.format(ms);
export const year = (ms: number) => String(new Date(ms).getFullYear());
export const moment = (ms: number) => SHORT.format(ms);
export const exactly = (ms: number) => WHOLE.format(ms);

const CAPITALS = new Set(["usd", "eur", "btc", "eth", "bnb", "dao", "ai", "leo", "okb", "usdt", "usdc", "busd", "defi", "nft", "xrp", "ii", "vr", "io"]);

/** A CoinGecko id as a name: `shiba-inu` → Shiba Inu. Symbols are ambiguous, ids are not. */
export function nameOf(asset: string): string {
  return asset
    .split("-")
    .filter(Boolean)
    .map((word) => (CAPITALS.has(word) ? word.toUpperCase() : word.charAt(0).toUpperCase() + word.slice(1)))
    .join(" ");
}

/** A colour of its own for each coin: degrees. */
export function hueOf(asset: string): number {
  let hash = 7;
  for (let i = 0; i < asset.length; i++) hash = (hash * 31 + asset.charCodeAt(i)) % 3600;
  return hash / 10;
}

/** As a field for date and time has it, in the reader's zone: 2026-01-31T08:00. */
export function asField(ms: number): string {
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
