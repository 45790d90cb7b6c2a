/** The arrow keys among lanes: left and right from cell to cell, up and down to the nearest of the next lane. */

const KEYS: Record<string, readonly [lanes: number, cells: number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

export function moveInSwimlane(event: KeyboardEvent): void {
  const step = KEYS[event.key];
  const lane = (event.target as Element).closest(".lane");
  if (step === undefined || lane === null || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const [down, right] = step;
  const at = bucketOf(document.activeElement);
  if (right !== 0) {
    const stops = stopsOf(lane);
    const index = stops.findIndex((stop) => stop === document.activeElement);
    stops[Math.min(stops.length - 1, Math.max(0, index + right))]?.focus();
    return;
  }
  const next = down > 0 ? lane.nextElementSibling : lane.previousElementSibling;
  if (next !== null) nearest(stopsOf(next), at)?.focus();
}

type Stop = HTMLElement | SVGElement;

/** The lane's name, then its cells. */
function stopsOf(lane: Element): Stop[] {
  return [...lane.querySelectorAll<Stop>(".lane-name, a[data-bucket]")];
}

/** -1 for a lane's name. */
function bucketOf(stop: Element | null | undefined): number {
  return Number((stop as Stop | null)?.dataset["bucket"] ?? -1);
}

function nearest(stops: readonly Stop[], bucket: number): Stop | undefined {
  if (bucket < 0) return stops[0];
  return stops.slice(1).toSorted((a, b) => Math.abs(bucketOf(a) - bucket) - Math.abs(bucketOf(b) - bucket))[0];
}
