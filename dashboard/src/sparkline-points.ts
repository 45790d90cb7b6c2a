/** Values as points of a small line, with room for a dot at each edge. Pure. */

const ROOM = 3;

export function points(values: readonly number[], width: number, height: number): [number, number][] {
  const low = Math.min(...values);
  const size = Math.max(...values) - low;
  const step = (width - 2 * ROOM) / Math.max(1, values.length - 1);
  return values.map((value, index) => {
    const share = size === 0 ? 0.5 : (value - low) / size;
    return [round(ROOM + index * step), round(height - ROOM - share * (height - 2 * ROOM))];
  });
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
