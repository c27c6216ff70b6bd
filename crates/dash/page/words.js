// Numbers, times and sentences as people read them. Pure: no page, no clock.

const grouped = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

// 12,345 up to a million, then 1.23 M.
export function count(n) {
  if (!Number.isFinite(n)) return "–";
  if (n >= 1e9) return `${(n / 1e9).toFixed(2)} G`;
  if (n >= 1e6) return `${(n / 1e6).toFixed(2)} M`;
  return grouped.format(Math.round(n));
}

// 950, 12 k, 1.5 M: for the axes.
export function short(n) {
  const trim = (x) => String(Number(x.toFixed(1)));
  if (n >= 1e6) return `${trim(n / 1e6)} M`;
  return n >= 1e4 ? `${trim(n / 1e3)} k` : grouped.format(n);
}

// A rate is told with a decimal only where it matters.
export function rate(n) {
  return n > 0 && n < 9.95 ? n.toFixed(1) : count(n);
}

// A long fraction to three decimals, anything else as it is; the whole value is the cell's title.
export function decimals(value) {
  return /^-?\d{1,12}\.\d{4,}$/.test(value) ? Number(value).toFixed(3) : value;
}

export function duration(ms) {
  if (!Number.isFinite(ms)) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.round(ms / 1000);
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor(s / 60) % 60).padStart(2, "0")} min`;
}

export function wallClock(ms) {
  return clock.format(new Date(ms));
}

// Event time is shown in UTC, as progress records have it; rows show it by the session's clock.
export function eventTime(ms) {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

export function plural(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

// What becomes of the backlog at the present rates.
export function backlogWords({ backlog, rate_in: arriving, rate_done: done }) {
  if (backlog === 0) return "nothing waiting";
  const gain = done - arriving;
  if (gain > arriving * 0.02 && gain > 1) return `waiting, gone in ${duration((backlog / gain) * 1000)}`;
  return -gain > arriving * 0.02 && -gain > 1 ? "waiting, growing" : "records waiting";
}

// The price: seconds of executors that were, against the maximum of each moment, always on.
export function saved({ executor_seconds: used, always_on_executor_seconds: always }) {
  if (always < 1) return { value: "–", words: "executor-seconds" };
  const percent = Math.max(0, 100 * (1 - used / always));
  return { value: `${Math.round(percent)} %`, words: `${count(used)} of ${count(always)} executor-seconds` };
}
