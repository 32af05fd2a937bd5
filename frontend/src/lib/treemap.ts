// A squarified treemap (Bruls, Huizing and van Wijk, 2000): areas as given, shapes as near to squares as they go.

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Boxes in the order of `areas`, which must be positive and largest first, filling width × height. */
export function treemap(areas: number[], width: number, height: number): Box[] {
  const total = areas.reduce((sum, area) => sum + area, 0);
  if (!total || width <= 0 || height <= 0) return [];
  const scaled = areas.map((area) => (area / total) * width * height);
  const boxes: Box[] = [];
  let free: Box = { x: 0, y: 0, width, height };
  for (let from = 0; from < scaled.length; ) {
    const side = Math.min(free.width, free.height);
    let to = from + 1;
    while (to < scaled.length && worst(scaled.slice(from, to + 1), side) <= worst(scaled.slice(from, to), side)) to++;
    free = row(scaled.slice(from, to), free, boxes);
    from = to;
  }
  return boxes;
}

function worst(areas: number[], side: number): number {
  const sum = areas.reduce((all, area) => all + area, 0);
  const largest = areas[0] ?? 0;
  const smallest = areas[areas.length - 1] ?? 1;
  return Math.max((side * side * largest) / (sum * sum), (sum * sum) / (side * side * smallest));
}

/** Put areas along the shorter side; what is left over. */
function row(areas: number[], free: Box, boxes: Box[]): Box {
  const sum = areas.reduce((all, area) => all + area, 0);
  const standing = free.width >= free.height;
  const thick = sum / (standing ? free.height : free.width);
  let at = standing ? free.y : free.x;
  for (const area of areas) {
    const long = area / thick;
    boxes.push(
      standing
        ? { x: free.x, y: at, width: thick, height: long }
        : { x: at, y: free.y, width: long, height: thick },
    );
    at += long;
  }
  return standing
    ? { ...free, x: free.x + thick, width: free.width - thick }
    : { ...free, y: free.y + thick, height: free.height - thick };
}
