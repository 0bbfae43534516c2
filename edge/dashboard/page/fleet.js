// Every device as a row: all rows are fetched once, then the server tells what changes. Some fifty are in the page.

import { about, begin, byId, capital, drawShape, get, kindName, language, look, made, number, put, reason, refusalOf, REFUSED_MS, request, RETRY_MS, say } from "/page/base.js";

const SHOWN = 50;
const SERVER_S = 2.5; // the server says something every second
const ORDER_S = 5; // rows that change stay where they are for so long, so that one can read them, …
const HELD_S = 3; // … and while the pointer has moved over them, …
const HELD_MOST_S = 30; // … or one of them has the focus; but never longer than this
const WORDS = ["urgent", "warning", "uncertain", "blind", "absent", "unknown", "offline", "paused", "shadow", "calm"];
const COLUMNS = ["device", "seen", "state", "open", "rate", "version", "problems"];
const NUMBERS = ["rate"];
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

const rows = new Map();
const lines = [];
const filters = new Map();
let link = { connected: false, problem: "" };
let note = "";
let noteWhy = "";
let refusal = null; // what the server answers instead of telling anything
let server = false;
let heard = performance.now();
let t = 0;
let order = [];
let ordered = -Infinity;
let pointed = -Infinity;
let by = "state";
let rising = true;
let wanted = "";
let only = "";
let first = 0;

// ---- what is known

const known = () => server && link.connected;

function taken([device, word, code, text, seen, open, rate, version, problems]) {
  const key = device.replace(/\d+/g, (digits) => digits.padStart(12, "0")).toLowerCase();
  return { device, key, word, code, text, seen, open, rate, version, problems };
}

const wordOf = (row) => (known() ? row.word : "unknown");
const openOf = (row) => (known() ? row.open : null);
const whyOf = (row) => {
  if (!known()) return "";
  if (row.word === "unknown") return say(row.seen === null ? "not_heard" : "fell_silent");
  return row.word === "calm" ? "" : reason(row.code, (row.open ?? []).map(([kind]) => kind), row.text);
};
const weight = (open) => (open ?? []).reduce((sum, [, level]) => sum + (level === "urgent" ? 100 : 1), 0);

const RANK = {
  device: (row) => row.key,
  seen: (row) => (wordOf(row) !== "unknown" && wordOf(row) !== "offline" ? Infinity : row.seen ?? -Infinity),
  state: (row) => WORDS.indexOf(wordOf(row)),
  open: (row) => (openOf(row) ? weight(openOf(row)) : -1),
  rate: (row) => row.rate ?? -1,
  version: (row) => row.version,
  problems: (row) => (row.problems ? row.problems[0] : -1),
};
const DOWN_FIRST = ["seen", "open", "rate", "problems"];

function fits(row) {
  if (only && wordOf(row) !== only) return false;
  if (!wanted) return true;
  const texts = [row.device, say(wordOf(row)), whyOf(row), row.version, row.problems?.[1] ?? "", ...(openOf(row) ?? []).map(([kind]) => kindName(kind))];
  return texts.some((each) => each.toLowerCase().includes(wanted));
}

function putInOrder() {
  ordered = performance.now();
  const rank = RANK[by];
  const way = rising ? 1 : -1;
  order = [...rows.values()].filter(fits).map((row) => [rank(row), row]);
  order.sort(([a, one], [b, other]) => {
    if (a !== b) return a < b ? -way : way;
    return one.key < other.key ? -1 : 1;
  });
  order = order.map(([, row]) => row.device);
  if (first >= order.length) first = Math.max(0, Math.floor((order.length - 1) / SHOWN) * SHOWN);
}

// ---- what is shown

function ago(seen) {
  const seconds = Math.max(0, t + (performance.now() - heard) / 1000 - seen);
  const [unit, size] = UNITS.find(([, each]) => seconds >= each) ?? UNITS.at(-1);
  return new Intl.RelativeTimeFormat(language(), { style: "short" }).format(-Math.floor(seconds / size), unit);
}

function newLine() {
  const row = made("tr");
  row.setAttribute("role", "row");
  const cells = Object.fromEntries(COLUMNS.map((name) => {
    const cell = made(name === "device" ? "th" : "td", "", NUMBERS.includes(name) ? "number" : "");
    if (name === "device") cell.scope = "row";
    cell.setAttribute("role", name === "device" ? "rowheader" : "cell");
    cell.dataset.of = name;
    row.append(cell);
    return [name, cell];
  }));
  const [device, health] = [made("a"), made("a")];
  cells.device.append(device);
  cells.problems.append(health);
  const said = made("div", "", "said");
  const [shape, text, word, why] = [made("span", "", "mark"), made("div"), made("strong"), made("span", "", "about")];
  text.append(word, why);
  said.append(shape, text);
  cells.state.append(said);
  byId("rows").append(row);
  return { row, cells, device, health, shape, word, why };
}

function drawLine(line, row) {
  const { cells } = line;
  const word = wordOf(row);
  for (const name of COLUMNS) if (cells[name].dataset.name !== say(name)) cells[name].dataset.name = say(name);
  put(line.device, row.device);
  if (line.device.getAttribute("href") !== about("/", row.device)) {
    line.device.href = about("/", row.device);
    line.health.href = about("/health", row.device);
  }
  const speaks = word !== "unknown" && word !== "offline";
  put(cells.seen, speaks ? say("just_now") : row.seen === null ? say("not_known") : ago(row.seen));
  drawShape(line.shape, word);
  if (line.shape.dataset.state !== word) line.shape.dataset.state = word;
  put(line.word, say(word));
  put(line.why, whyOf(row));
  drawOpen(cells.open, openOf(row));
  put(cells.rate, number(row.rate, "", typeof row.rate === "number" && row.rate < 10 ? 1 : 0));
  put(cells.version, row.version || say("not_known"));
  const problems = speaks || row.problems?.[0] ? row.problems : null;
  const last = speaks ? "" : `${say("last_known")}: `;
  put(line.health, !problems ? say("not_known") : problems[0] ? `${last}${problems[0]} · ${problems[1]}` : say("no_problems"));
  const label = say("health_of", { device: row.device, problems: line.health.textContent });
  if (line.health.getAttribute("aria-label") !== label) line.health.setAttribute("aria-label", label);
  cells.seen.classList.toggle("unknown", !speaks);
  cells.open.classList.toggle("unknown", !openOf(row)?.length);
  cells.rate.classList.toggle("unknown", row.rate === null);
  cells.problems.classList.toggle("unknown", !problems?.[0]);
}

function drawOpen(cell, open) {
  const texts = open?.length
    ? open.map(([kind, level, acknowledged]) => [level, `${capital(kindName(kind))}: ${say(level)}${acknowledged ? ` (${say("acknowledged")})` : ""}`])
    : [["", say(open ? "no_alerts" : "not_known")]];
  while (cell.children.length > texts.length) cell.lastChild.remove();
  while (cell.children.length < texts.length) {
    const said = made("div", "", "said open");
    said.append(made("span", "", "mark"), made("span"));
    cell.append(said);
  }
  texts.forEach(([level, text], at) => {
    const [shape, words] = cell.children[at].children;
    shape.hidden = !level;
    if (level) drawShape(shape, level);
    if (shape.dataset.state !== level) shape.dataset.state = level;
    put(words, text);
  });
}

function drawWords() {
  const counts = Object.fromEntries(WORDS.map((word) => [word, 0]));
  for (const row of rows.values()) counts[wordOf(row)] += 1;
  for (const word of WORDS) {
    if (!filters.has(word)) {
      const button = made("button");
      const [shape, text] = [made("span", "", "mark"), made("span")];
      button.type = "button";
      button.dataset.state = word;
      drawShape(shape, word);
      button.append(shape, text);
      button.addEventListener("click", () => {
        only = only === word ? "" : word;
        anew();
      });
      byId("words").append(button);
      filters.set(word, { button, text });
    }
    const { button, text } = filters.get(word);
    put(text, `${say(word)}: ${number(counts[word])}`);
    button.hidden = !counts[word] && only !== word;
    button.setAttribute("aria-pressed", String(only === word));
  }
}

function drawHead() {
  const head = byId("head");
  if (!head.children.length) {
    for (const name of COLUMNS) {
      const cell = made("th", "", NUMBERS.includes(name) ? "number" : "");
      cell.scope = "col";
      const button = made("button");
      button.type = "button";
      button.addEventListener("click", () => sortBy(name, name === by ? !rising : !DOWN_FIRST.includes(name)));
      cell.append(button);
      head.append(cell);
      const choice = made("option");
      choice.value = name;
      byId("sort").append(choice);
    }
  }
  COLUMNS.forEach((name, at) => {
    const cell = head.children[at];
    put(cell.firstChild, say(name));
    put(byId("sort").children[at], say(name));
    if (name === by) cell.setAttribute("aria-sort", rising ? "ascending" : "descending");
    else cell.removeAttribute("aria-sort");
  });
  byId("sort").value = by;
}

function draw() {
  const isLost = !known();
  byId("lost").hidden = !isLost;
  if (isLost) {
    drawShape(byId("shape"), "unknown");
    put(byId("word"), say("unknown"));
    put(byId("why"), server ? [say("no_broker"), link.problem].filter(Boolean).join(": ") : refusalOf(refusal));
  }
  const since = (performance.now() - ordered) / 1000;
  const held = performance.now() - pointed < HELD_S * 1000 || byId("rows").contains(document.activeElement);
  if (since > (held ? HELD_MOST_S : ORDER_S)) putInOrder();
  drawHead();
  drawWords();
  const shown = order.slice(first, first + SHOWN).filter((device) => rows.has(device));
  while (lines.length > shown.length) lines.pop().row.remove();
  while (lines.length < shown.length) lines.push(newLine());
  shown.forEach((device, at) => drawLine(lines[at], rows.get(device)));
  put(byId("found"), say("found", { found: number(order.length), all: number(rows.size) }));
  byId("none").hidden = shown.length > 0;
  put(byId("none"), say(rows.size ? "none_found" : "none_yet"));
  byId("pages").hidden = order.length <= SHOWN;
  byId("pages").setAttribute("aria-label", say("parts"));
  byId("words").setAttribute("aria-label", say("filter"));
  put(byId("place"), say("place", { from: number(first + 1), to: number(first + shown.length), all: number(order.length) }));
  byId("back").disabled = first === 0;
  byId("on").disabled = first + SHOWN >= order.length;
  put(byId("note"), note ? say(note, { why: noteWhy }) : "");
}

function anew() {
  first = 0;
  putInOrder();
  draw();
}

function sortBy(name, up) {
  by = name;
  rising = up;
  anew();
}

function turn(by) {
  first = Math.max(0, first + by * SHOWN);
  putInOrder();
  draw();
  byId("rows").querySelector("a")?.focus();
}

// ---- what the server says

function take(name, told) {
  heard = performance.now();
  server = true;
  refusal = null;
  if (typeof told.t === "number") t = told.t;
  if (name === "link") link = told;
  if (name === "note") ({ note, why: noteWhy } = told);
  if (name === "rows") {
    for (const row of told.rows) rows.set(row[0], taken(row));
    for (const device of told.gone) rows.delete(device);
    if (order.length < SHOWN) ordered = -Infinity; // there is room: a new one need not wait
  }
}

function follow() {
  let source = null;
  let again = 0;
  let tries = 0;
  const lose = () => {
    if (server) ordered = -Infinity;
    server = false;
    draw();
  };
  const open = async () => {
    clearTimeout(again);
    source?.close();
    heard = performance.now();
    const mine = ++tries; // a later try overtakes this one
    try {
      const answer = await (asked ?? request("/fleet/rows"));
      asked = null;
      if (!answer.ok) {
        refusal = await answer.json().catch(() => null);
        if (mine !== tries) return;
        lose();
        again = setTimeout(open, REFUSED_MS);
        return;
      }
      const told = await answer.json();
      if (mine !== tries) return;
      rows.clear();
      take("rows", { rows: told.rows, gone: [], t: told.t });
      take("link", told.link);
      take("note", told);
      putInOrder();
      draw();
      listen(told.beat);
    } catch {
      if (mine !== tries) return;
      lose();
      again = setTimeout(open, RETRY_MS);
    }
  };
  const listen = (beat) => {
    source = new EventSource(`/fleet/events?since=${beat}`);
    for (const name of ["link", "note", "rows", "tick"]) {
      source.addEventListener(name, (event) => {
        take(name, JSON.parse(event.data));
        if (name === "link") draw();
      });
    }
    source.addEventListener("anew", open);
    source.onerror = () => { // what was missed meanwhile is not known: begin anew
      source.close();
      lose();
      again = setTimeout(open, RETRY_MS);
    };
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(again);
      source?.close();
    } else open();
  });
  setInterval(() => {
    if (document.hidden) return;
    if (performance.now() - heard > SERVER_S * 1000) {
      lose();
      if (performance.now() - heard > 2 * SERVER_S * 1000) open();
    }
    draw();
  }, 500);
  addEventListener("words", draw);
  open();
}

let asked = request("/fleet/rows"); // while the words come
asked.catch(() => null); // what came of it is looked at below
await begin("fleet");
byId("search").addEventListener("input", () => {
  wanted = byId("search").value.trim().toLowerCase();
  anew();
});
byId("sort").addEventListener("change", () => sortBy(byId("sort").value, !DOWN_FIRST.includes(byId("sort").value)));
byId("rows").addEventListener("pointermove", () => (pointed = performance.now()));
byId("back").addEventListener("click", () => turn(-1));
byId("on").addEventListener("click", () => turn(1));
follow();
