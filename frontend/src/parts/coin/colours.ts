// The page's colours as numbers: a chart paints on a canvas and knows no custom properties.

export interface Colours {
  up: string;
  down: string;
  upSoft: string;
  downSoft: string;
  accent: string;
  accentStrong: string;
  accentSoft: string;
  muted: string;
  line: string;
  blind: string;
  partly: string;
  told: string;
}

/** Of the theme that is shown. */
export function coloursOf(element: HTMLElement): Colours {
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
    accentSoft: soft("accent", 0.16),
    muted: colour("muted"),
    line: soft("line", 0.6),
    blind: soft("warn", 0.24),
    partly: soft("warn", 0.1),
    told: soft("muted", 0.09),
  };
  probe.remove();
  return colours;
}

/** For curves, seen well on light and on dark. */
export const PALETTE = ["#d9730d", "#2f81f7", "#a371f7", "#1f9e8f", "#db61a2", "#9a8700"] as const;
