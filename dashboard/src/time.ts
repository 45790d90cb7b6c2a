/** Instants and durations in words. Pure: the caller says what time it is. */

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const dayAndTime = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZone: "UTC",
});
const dateOnly = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const dayOnly = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

/** "just now", "5 minutes ago", "yesterday"; rounded down, so it never says more than has passed. */
export function ago(instant: string, nowMs: number): string {
  const passed = Math.trunc((nowMs - Date.parse(instant)) / 1000);
  const size = Math.abs(passed);
  if (size < 45) return "just now";
  if (size < HOUR) return relative.format(-Math.sign(passed) * Math.max(1, Math.trunc(size / MINUTE)), "minute");
  if (size < DAY) return relative.format(-Math.trunc(passed / HOUR), "hour");
  if (size < 60 * DAY) return relative.format(-Math.trunc(passed / DAY), "day");
  return relative.format(-Math.trunc(passed / (30 * DAY)), "month");
}

/** "22 Jan 2026, 00:05:00 UTC". */
export function exact(instant: string): string {
  return `${dayAndTime.format(new Date(instant))} UTC`;
}

/** "22 Jan". */
export function day(ms: number): string {
  return dayOnly.format(ms);
}

/** "22 Jan 2026", UTC. */
export function date(instant: string): string {
  return dateOnly.format(new Date(instant));
}

/** "2026-01-22T14:00:00Z". */
export function iso(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}

/** "22 Jan 14:00 to 23 Jan 06:00", UTC; the date once where both are of one day. */
export function spanWords(from: string, to: string): string {
  const [begin, end] = [Date.parse(from), Date.parse(to)];
  const last = day(begin) === day(end) ? clock(end) : `${day(end)} ${clock(end)}`;
  return `${day(begin)} ${clock(begin)} to ${last}`;
}

/** "14:00", UTC. */
export function clock(ms: number): string {
  return new Date(ms).toISOString().slice(11, 16);
}

/** Marks of a time axis: days while they are a day or more apart, else days with hours (UTC). */
export function axisTime(seconds: number, stepS: number): string {
  const at = new Date(seconds * 1000);
  return stepS >= DAY ? dayOnly.format(at) : `${dayOnly.format(at)} ${clock(seconds * 1000)}`;
}

/** "850 ms", "7.5 s", "4 m 12 s", "2 h 5 m", "3 d 4 h". */
export function duration(seconds: number): string {
  const sign = seconds < 0 ? "−" : "";
  const size = Math.abs(seconds);
  if (size === 0) return "0 s";
  if (size < 0.9995) return `${sign}${trim(size * 1000, 3)} ms`;
  if (size < 59.95) return `${sign}${trim(size, 3)} s`;
  const whole = Math.round(size);
  if (whole < HOUR) return sign + pair(whole, MINUTE, "m", 1, "s");
  if (whole < DAY) return sign + pair(whole, HOUR, "h", MINUTE, "m");
  return sign + pair(whole, DAY, "d", HOUR, "h");
}

function pair(whole: number, large: number, largeUnit: string, small: number, smallUnit: string): string {
  const rest = Math.trunc((whole % large) / small);
  const head = `${Math.trunc(whole / large)} ${largeUnit}`;
  return rest === 0 ? head : `${head} ${rest} ${smallUnit}`;
}

/** The number with so many significant digits, without trailing zeros. */
function trim(value: number, digits: number): string {
  return String(Number(value.toPrecision(digits)));
}
