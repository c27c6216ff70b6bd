// Three charts over one time axis, as SVG: rates, backlog, executors. Knows nothing of the server.

import { count, duration, plural, rate, short, wallClock } from "./words.js";

const KEEP = 900; // samples, one a second
const GAP_MS = 5000; // a longer silence breaks the line
const LEFT = 48;
const RIGHT = 10;
const TITLE = 42; // above each panel, for its name and values
const FOOT = 26; // below all, for the times

const PANELS = [
  {
    name: "Records/s", height: 150,
    lines: [
      { key: "rate_in", tone: "in", says: "arriving", show: rate },
      { key: "rate_done", tone: "done", says: "processed", show: rate, area: true },
    ],
  },
  { name: "Backlog", height: 72, lines: [{ key: "backlog", tone: "backlog", says: "waiting", show: count, area: true }] },
  {
    name: "Executors", height: 78, whole: true,
    lines: [
      { key: "executors", tone: "fleet", says: "running", show: count, area: true, step: true },
      { key: "executors_target", tone: "fleet", says: "wanted", show: count, step: true, dashed: true },
    ],
  },
];

export class Chart {
  constructor(host, timeLabel) {
    this.host = host;
    this.timeLabel = timeLabel;
    this.samples = [];
    this.decisions = [];
    this.span = KEEP * 1000;
    this.cursor = null; // index of a sample
    this.dirty = false;
    new ResizeObserver(() => this.redraw()).observe(host);
    host.addEventListener("pointermove", (event) => this.point(event.clientX));
    host.addEventListener("pointerdown", (event) => this.point(event.clientX));
    host.addEventListener("pointerleave", () => this.setCursor(null));
    host.addEventListener("keydown", (event) => this.key(event));
  }

  // Columns, as the server keeps them.
  setHistory(columns) {
    this.samples = columns.at_ms.map((at_ms, i) => {
      const sample = { at_ms };
      for (const key of Object.keys(columns)) sample[key] = columns[key][i];
      return sample;
    });
    this.redraw();
  }

  // One a second, the newest of each: the server's own rule.
  add(sample) {
    const second = Math.floor(sample.at_ms / 1000);
    while (this.samples.length && Math.floor(this.samples.at(-1).at_ms / 1000) >= second) this.samples.pop();
    this.samples.push(sample);
    if (this.samples.length > KEEP) {
      this.samples.shift();
      if (this.cursor !== null) this.cursor = Math.max(0, this.cursor - 1);
    }
    this.redraw();
  }

  setDecisions(decisions) {
    this.decisions = decisions;
    this.redraw();
  }

  setSpan(seconds) {
    this.span = seconds * 1000;
    this.redraw();
  }

  redraw() {
    if (this.dirty) return;
    this.dirty = true;
    requestAnimationFrame(() => {
      this.dirty = false;
      this.draw();
    });
  }

  // At least a minute is shown, so that the first seconds do not race.
  times() {
    const newest = this.samples.at(-1)?.at_ms ?? 0;
    const oldest = this.samples[0]?.at_ms ?? 0;
    const span = Math.max(60000, Math.min(this.span, newest - oldest));
    return { from: newest - span, to: newest, span };
  }

  point(clientX) {
    if (!this.samples.length) return;
    const box = this.host.getBoundingClientRect();
    const { from, span } = this.times();
    const at = from + ((clientX - box.left - LEFT) / Math.max(1, box.width - LEFT - RIGHT)) * span;
    let best = 0;
    this.samples.forEach((sample, i) => {
      if (Math.abs(sample.at_ms - at) < Math.abs(this.samples[best].at_ms - at)) best = i;
    });
    this.setCursor(best);
  }

  key(event) {
    const last = this.samples.length - 1;
    const now = this.cursor ?? last;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last, Escape: null }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.setCursor(to === null ? null : Math.min(last, Math.max(0, to)));
  }

  setCursor(index) {
    this.cursor = index;
    this.redraw();
  }

  draw() {
    const width = Math.max(240, this.host.clientWidth);
    const height = PANELS.reduce((sum, panel) => sum + TITLE + panel.height, FOOT - TITLE / 3);
    const time = this.times();
    const x = (at) => LEFT + ((at - time.from) / time.span) * (width - LEFT - RIGHT);
    const shown = this.samples.filter((sample) => sample.at_ms >= time.from - 1000);
    const at = this.cursor === null ? this.samples.at(-1) : this.samples[this.cursor];
    if (!this.svg) {
      this.svg = node("svg", { role: "img", tabindex: "0" });
      this.host.append(this.svg);
    }
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("height", height);
    this.svg.setAttribute("aria-label", summary(at));
    const parts = [];
    let top = -TITLE / 3;
    for (const panel of PANELS) {
      top += TITLE;
      parts.push(...drawPanel(panel, { top, width, x, shown, at }));
      if (panel.whole) parts.push(...this.marks(top, panel, x, time, shown));
      top += panel.height;
    }
    parts.push(...drawTimes(time, x, top, width));
    if (this.cursor !== null && at && at.at_ms >= time.from) {
      parts.push(node("line", { class: "cursor", x1: x(at.at_ms), x2: x(at.at_ms), y1: TITLE * 2 / 3, y2: top }));
    }
    this.svg.replaceChildren(...parts);
    placeSwatches(this.svg, width);
    this.timeLabel.textContent = this.cursor !== null && at ? `at ${wallClock(at.at_ms)}` : `the last ${duration(time.span)}`;
  }

  // Where the autoscaler decided.
  marks(top, panel, x, time, shown) {
    const y = scale(panel, shown, top).y;
    return this.decisions.filter((decision) => decision.at_ms >= time.from && decision.at_ms <= time.to).map((decision) => {
      const mark = node("circle", { class: "mark tone-fleet", cx: x(decision.at_ms), cy: y(decision.to), r: 4.5 });
      const title = node("title", {});
      title.textContent = `${decision.from} → ${decision.to}: ${decision.reason}`;
      mark.append(title);
      return mark;
    });
  }
}

function drawPanel(panel, { top, width, x, shown, at }) {
  const { y, ticks } = scale(panel, shown, top);
  const bottom = top + panel.height;
  const parts = ticks.flatMap((tick) => [
    node("line", { class: tick === 0 ? "base" : "grid", x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) }),
    node("text", { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, short(tick)),
  ]);
  for (const line of panel.lines) {
    for (const run of runs(shown)) {
      const points = run.map((sample) => [x(sample.at_ms), y(sample[line.key])]);
      const path = trace(points, line.step);
      const start = Math.max(LEFT, points[0][0]);
      if (line.area) parts.push(node("path", { class: `area tone-${line.tone}`, d: `${path}V${bottom}H${start}Z` }));
      parts.push(node("path", { class: `line tone-${line.tone}${line.dashed ? " dashed" : ""}`, d: path }));
    }
    if (at) parts.push(node("circle", { class: `dot tone-${line.tone}`, cx: x(at.at_ms), cy: y(at[line.key]), r: line.dashed ? 0 : 3 }));
  }
  parts.push(...legend(panel, top - 13, width > 380 ? at : null));
  return parts;
}

// The panel's name at the left; for each line its colour, its name and its value under the cursor.
function legend(panel, y, at) {
  const parts = [node("text", { class: "label", x: 0, y }, panel.name)];
  for (const line of panel.lines) {
    const text = at ? `${line.says} ${line.show(at[line.key])}` : line.says;
    parts.push(node("text", { class: "entry", y, "text-anchor": "end" }, text));
    parts.push(node("line", { class: `swatch tone-${line.tone}${line.dashed ? " dashed" : ""}`, y1: y - 4, y2: y - 4 }));
  }
  return parts;
}

// A legend ends at the right edge; how wide its words are is known only once they are in the page.
function placeSwatches(svg, width) {
  let right = width - RIGHT;
  let row = null;
  for (const entry of [...svg.querySelectorAll(".entry")].reverse()) {
    const y = entry.getAttribute("y");
    if (y !== row) [row, right] = [y, width - RIGHT];
    entry.setAttribute("x", right);
    const start = right - entry.getComputedTextLength();
    entry.nextSibling.setAttribute("x1", start - 20);
    entry.nextSibling.setAttribute("x2", start - 8);
    right = start - 36;
  }
}

function drawTimes({ from, to, span }, x, top, width) {
  if (to === 0) return [];
  const step = [10, 30, 60, 120, 300, 600].find((seconds) => span / (seconds * 1000) <= Math.min(7, width / 80)) * 1000;
  const parts = [];
  for (let ago = 0; ago <= span; ago += step) {
    const anchor = ago === 0 ? "end" : x(to - ago) < LEFT + 20 ? "start" : "middle";
    const words = ago === 0 ? "now" : `−${Math.floor(ago / 60000)}:${String((ago / 1000) % 60).padStart(2, "0")}`;
    parts.push(node("text", { x: x(to - ago), y: top + 18, "text-anchor": anchor }, words));
  }
  return parts.concat(from < 0 ? [] : node("line", { class: "base", x1: x(from), x2: x(to), y1: top, y2: top }));
}

// A y axis that starts at zero and ends at a round number above all values.
function scale(panel, shown, top) {
  const highest = shown.reduce((max, sample) => Math.max(max, ...panel.lines.map((line) => sample[line.key])), 0);
  const step = panel.whole ? Math.ceil(Math.max(4, highest) / 4) : niceStep(highest, panel.height > 100 ? 4 : 2);
  const end = panel.whole ? Math.ceil(Math.max(4, highest) / step) * step : Math.max(step, Math.ceil(highest / step) * step);
  const ticks = [];
  for (let tick = 0; tick <= end; tick += step) ticks.push(tick);
  return { ticks, y: (value) => top + panel.height - (value / end) * panel.height };
}

function niceStep(highest, parts) {
  const rough = Math.max(highest, 10) / parts;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].map((m) => m * power).find((step) => step >= rough && Number.isInteger(step)) ?? 10 * power;
}

function runs(samples) {
  const all = [];
  samples.forEach((sample, i) => {
    if (i === 0 || sample.at_ms - samples[i - 1].at_ms > GAP_MS) all.push([]);
    all.at(-1).push(sample);
  });
  return all;
}

function trace(points, step) {
  return points.map(([px, py], i) => {
    const [sx, sy] = [Math.max(LEFT, px).toFixed(1), py.toFixed(1)];
    if (i === 0) return `M${sx} ${sy}`;
    return step ? `H${sx}V${sy}` : `L${sx} ${sy}`;
  }).join("");
}

function summary(at) {
  if (!at) return "Charts of rates, backlog and executors over time. No figures yet.";
  return `At ${wallClock(at.at_ms)}: arriving ${rate(at.rate_in)} a second, processed ${rate(at.rate_done)} a second, ` +
    `backlog ${count(at.backlog)}, ${plural(at.executors, "executor")} of ${at.executors_target} wanted. Arrow keys move through time; a table follows.`;
}

function node(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
