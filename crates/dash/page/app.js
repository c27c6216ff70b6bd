// The page: takes the events of the server, puts them where they belong. Data only ever becomes text, never markup.

import { Chart } from "./chart.js";
import { backlogWords, count, decimals, duration, eventTime, plural, rate, saved, wallClock } from "./words.js";

const SILENT_MS = 5000; // connected, but no news for so long
const RETRY_MS = 1000;
const DECISIONS_SHOWN = 100;
const TABLE_ROWS = 60;

const byId = (id) => document.getElementById(id);
const chart = new Chart(byId("chart"), byId("chart-time"));
let decisions = [];
let fleetSize = 4;
let source = null;
let heardAt = 0;

// ---- The connection -------------------------------------------------------------------------------------------

function connect() {
  source?.close();
  source = new EventSource("/events");
  source.addEventListener("past", (event) => takePast(JSON.parse(event.data)));
  source.addEventListener("status", (event) => takeStatus(JSON.parse(event.data)));
  source.onerror = () => {
    source.close();
    setConnection("lost");
    setTimeout(() => document.hidden || connect(), RETRY_MS);
  };
}

function setConnection(state) {
  document.body.dataset.connection = state;
  const words = { waiting: "Waiting for figures", live: "Live", lost: "Not connected", silent: "No news" }[state];
  if (byId("connection").textContent !== words) byId("connection").textContent = words;
  const notice = {
    lost: "The connection to Tidemill is lost, or the run has ended. These are the last figures; the page goes on by itself when it is back.",
    silent: "Connected, but the pipeline has told nothing for some seconds.",
  }[state];
  byId("notice").hidden = !notice;
  if (notice && byId("notice").textContent !== notice) byId("notice").textContent = notice;
}

// A page that nobody looks at costs nothing.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) source?.close();
  else connect();
});
setInterval(() => {
  if (document.body.dataset.connection === "live" && Date.now() - heardAt > SILENT_MS && !document.hidden) setConnection("silent");
}, 1000);

// ---- What comes in --------------------------------------------------------------------------------------------

function takePast({ history, decisions: past, commands }) {
  setConnection("waiting");
  chart.setHistory(history);
  decisions = past;
  showDecisions();
  byId("hold").hidden = !commands;
  byId("settings").hidden = !commands;
}

function takeStatus(status) {
  heardAt = Date.now();
  setConnection("live");
  chart.add({
    at_ms: status.now_ms, rate_in: status.rate_in, rate_done: status.rate_done, backlog: status.backlog,
    executors: status.executors.length, executors_target: status.executors_target,
    age_p50_ms: status.age_p50_ms, age_p99_ms: status.age_p99_ms,
  });
  fleetSize = Math.max(status.executors_max, status.executors.length);
  showFigures(status);
  showFacts(status);
  showFleet(status);
  showSettings(status);
  showResults(status.windows);
  addDecisions(status.decisions);
  if (byId("chart-table").open) showTable();
}

// The server sends the newest few each time: those after the last one known are new.
function addDecisions(newest) {
  const same = (a, b) => a && b && a.at_ms === b.at_ms && a.from === b.from && a.to === b.to && a.reason === b.reason;
  const known = newest.findLastIndex((decision) => same(decision, decisions.at(-1)));
  const fresh = newest.slice(known + 1);
  if (!fresh.length) return;
  decisions.push(...fresh);
  showDecisions();
}

// ---- What is shown --------------------------------------------------------------------------------------------

function put(id, text) {
  const place = byId(id);
  if (place.textContent !== text) place.textContent = text;
}

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function showFigures(status) {
  const now = status.executors.length;
  document.title = `${status.name || "pipeline"} · ${plural(now, "executor")} · Tidemill`;
  put("pipeline", status.name || "A pipeline");
  put("activity", status.activity);
  put("rate-in", rate(status.rate_in));
  put("rate-done", rate(status.rate_done));
  put("backlog", count(status.backlog));
  put("backlog-words", backlogWords(status));
  const aged = status.records > 0;
  put("age-p50", aged ? duration(status.age_p50_ms) : "–");
  put("age-words", aged ? `99 of 100 under ${duration(status.age_p99_ms)}` : "no results yet");
  put("executors-now", count(now));
  const wanted = status.executors_target;
  put("executors-words", wanted === now ? `as many as wanted` : `${count(wanted)} wanted`);
  const cost = saved(status);
  put("saved", cost.value);
  put("saved-words", cost.words);
}

function showFacts(status) {
  put("records", count(status.records));
  put("batch", status.batch_id === null ? "none yet" : count(status.batch_id));
  put("watermark", status.watermark_ms === null ? "none" : eventTime(status.watermark_ms));
  put("state-rows", count(status.state_rows));
  put("capacity", status.capacity_per_core === null ? "not measured yet" : `${count(status.capacity_per_core)} records/s`);
  put("uptime", duration(status.uptime_ms));
  for (const [reason, n] of Object.entries(status.faults)) {
    const place = byId(`fault-${reason}`);
    if (!place) continue;
    put(place.id, count(n));
    place.parentElement.classList.toggle("some", n > 0);
  }
}

// Every place that an executor can have is shown, also while none runs.
function showFleet({ executors, backlog, executors_target: wanted, executors_pinned: pinned }) {
  const tiles = executors.map((executor) => {
    const tile = make("li", "tile");
    if (["starting", "ready", "draining"].includes(executor.state)) tile.classList.add(executor.state);
    const top = make("div", "top");
    top.append(make("span", "", `Executor ${executor.id}`), make("span", "state", executor.state));
    const work = make("div", "sub");
    const slots = make("span", "slots");
    for (let i = 0; i < Math.min(8, Math.max(2, executor.tasks_running)); i++) slots.append(make("i", i < executor.tasks_running ? "busy" : ""));
    work.append(slots, executor.tasks_running ? plural(executor.tasks_running, "task") : "no task");
    tile.append(top, work, make("div", "sub", `${plural(executor.records, "record")} · pid ${executor.pid}`));
    return tile;
  });
  byId("fleet").replaceChildren(...tiles, ...freeTiles(fleetSize - tiles.length));
  const asleep = executors.length === 0 && wanted === 0 && backlog === 0;
  put("fleet-words", pinned !== null ? `held at ${pinned} by hand` : asleep ? "nothing to do, so none runs" : "as many as the load needs");
  showHold(pinned);
}

function freeTiles(n) {
  return Array.from({ length: Math.max(0, n) }, () => make("li", "tile free", "not running"));
}

function showHold(pinned) {
  const box = byId("hold");
  if (box.childElementCount !== fleetSize + 2) {
    const button = (words, command, label) => {
      const made = make("button", "", words);
      made.type = "button";
      made.setAttribute("aria-label", label);
      made.addEventListener("click", () => sendCommand(command));
      return made;
    };
    const sizes = Array.from({ length: fleetSize + 1 }, (_, n) => button(String(n), { pin: n }, `Hold at ${n}`));
    box.replaceChildren(button("Follow the load", "unpin", "Follow the load"), ...sizes);
  }
  [...box.children].forEach((button, i) => button.setAttribute("aria-pressed", String(pinned === null ? i === 0 : i === pinned + 1)));
}

// The fields follow the run until somebody types in them.
let settings = null;
function showSettings(status) {
  put("limits", status.limits ? `Limits of each executor: ${status.limits}.` : "");
  const now = { mode: status.mode, min_executors: status.executors_min, max_executors: status.executors_max, slo_ms: status.slo_ms };
  if (JSON.stringify(now) === JSON.stringify(settings)) return;
  settings = now;
  byId("set-mode").value = now.mode;
  byId("set-min").value = now.min_executors;
  byId("set-max").value = now.max_executors;
  byId("set-slo").value = now.slo_ms / 1000;
}

// Unchanged settings are not sent: a mode would end a pin.
byId("settings").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = {
    mode: byId("set-mode").value, min_executors: Number(byId("set-min").value),
    max_executors: Number(byId("set-max").value), slo_ms: Math.round(Number(byId("set-slo").value) * 1000),
  };
  const changed = Object.entries(wanted).filter(([key, value]) => value !== settings?.[key]);
  if (changed.length) sendCommand({ scale: Object.fromEntries(changed) });
});

async function sendCommand(command) {
  try {
    const reply = await fetch("/api/command", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(command) });
    byId("refused").hidden = reply.ok;
    if (!reply.ok) put("refused", await reply.text());
  } catch {
    setConnection("lost");
  }
}

function showDecisions() {
  byId("no-decisions").hidden = decisions.length > 0;
  const items = decisions.slice(-DECISIONS_SHOWN).reverse().map(({ at_ms, from, to, reason }) => {
    const item = make("li");
    const time = make("time", "", wallClock(at_ms));
    time.dateTime = new Date(at_ms).toISOString();
    const way = to > from ? "up" : to < from ? "down" : "same";
    const arrow = { up: "▲", down: "▼", same: "=" }[way];
    const step = make("span", `step ${way}`, `${arrow} ${from} → ${to}`);
    item.append(time, step, make("span", "why", reason));
    return item;
  });
  byId("decisions").replaceChildren(...items);
  chart.setDecisions(decisions);
}

let shownRows = null;
function showResults({ columns, rows }) {
  const key = JSON.stringify([columns, rows]);
  if (key === shownRows) return;
  shownRows = key;
  byId("no-windows").hidden = rows.length > 0;
  byId("windows").hidden = rows.length === 0;
  const numeric = columns.map((_, i) => rows.some((row) => row[i] !== "NULL") && rows.every((row) => /^(-?[\d.,]+(E-?\d+)?|NULL)$/.test(row[i] ?? "")));
  const date = sharedDate(rows);
  put("windows-words", rows.length ? `${plural(rows.length, "row")}, newest first${date ? `, of ${date.trim()}` : ""}` : "");
  const head = make("tr");
  columns.forEach((column, i) => {
    const cell = make("th", numeric[i] ? "number" : "", column);
    cell.scope = "col";
    head.append(cell);
  });
  const body = [...rows].reverse().map((row) => {
    const line = make("tr");
    row.forEach((value, i) => {
      const cell = make("td", numeric[i] ? "number" : "", date && value.startsWith(date) ? value.slice(date.length) : decimals(value));
      cell.title = value;
      line.append(cell);
    });
    return line;
  });
  byId("windows").tHead.replaceChildren(head);
  byId("windows").tBodies[0].replaceChildren(...body);
}

// The day that all times of all rows are in is said once, above the table.
function sharedDate(rows) {
  const days = new Set(rows.flat().map((value) => /^\d{4}-\d\d-\d\d (?=\d\d:)/.exec(value)?.[0]).filter(Boolean));
  return days.size === 1 ? [...days][0] : null;
}

// At most so many rows, evenly spaced, newest first.
function showTable() {
  const every = Math.ceil(chart.samples.length / TABLE_ROWS);
  const rows = chart.samples.filter((_, i) => (chart.samples.length - 1 - i) % every === 0).reverse().map((s) => {
    const line = make("tr");
    const cells = [wallClock(s.at_ms), rate(s.rate_in), rate(s.rate_done), count(s.backlog), count(s.executors), count(s.executors_target), duration(s.age_p50_ms), duration(s.age_p99_ms)];
    line.append(...cells.map((text) => make("td", "", text)));
    return line;
  });
  byId("chart-table").querySelector("tbody").replaceChildren(...rows);
}

byId("chart-table").addEventListener("toggle", showTable);
for (const button of document.querySelectorAll("[data-span]")) {
  button.addEventListener("click", () => {
    for (const other of document.querySelectorAll("[data-span]")) other.setAttribute("aria-pressed", String(other === button));
    chart.setSpan(Number(button.dataset.span));
  });
}
byId("fleet").replaceChildren(...freeTiles(fleetSize));
chart.redraw();
connect();
