// What every page needs: words, who is looking, what the device says, and one way to say what holds now.
// All text goes into the page as text (textContent), whatever is in it.

const LANGUAGES = ["en", "de"];
const HISTORY_S = 300;
const POINT_S = 0.2;
const SILENT_LIVE_S = 2.5; // no frame's numbers for so long: what holds is not known
const SILENT_S = 35; // where only the state is sent, with its heartbeat
const HEALTH_S = 100; // it says how it is every half a minute
export const RETRY_MS = 1000;
export const REFUSED_MS = 5000; // a server that says why it does not answer is not pressed
const SERVER_S = 2.5; // the server says something every second
const PAGES = [
  ["now", "/"],
  ["cab", "/cab"],
  ["health", "/health"],
  ["history", "/history"],
  ["tune", "/tune"],
];
const OF_A_DEVICE = ["now", "cab", "health"]; // in a fleet they need its name
export const PATHS = ["/fleet", ...PAGES.map(([, path]) => path)];
const asked = new URLSearchParams(location.search).get("device");

export const byId = (id) => document.getElementById(id);
export const get = (table, key) => (table && Object.hasOwn(table, key) ? table[key] : undefined);

let words = { page: {}, kind: {}, reason: {}, expression: {} };
let shown = ""; // the page's name; words of that name are its own
let session = { role: null, csrf: null, locked: true };
let entered = false; // whether anybody was logged in here

// an address with the device that this page is about, where there are several
export function about(path, device = asked) {
  if (!device) return path;
  return `${path}${path.includes("?") ? "&" : "?"}device=${encodeURIComponent(device)}`;
}

export function say(key, values = {}) {
  return fill(get(get(words, shown), key) ?? get(words.page, key) ?? key, values);
}

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => String(get(values, name) ?? ""));
}

// how dates are written: as the browser's user does where that is in the page's language
export const locale = () => navigator.languages.find((one) => one.split("-")[0] === words.language) ?? words.language;
export const kinds = () => Object.keys(words.kind);
export const kindName = (kind) => get(words.kind, kind) ?? kind;
export const expressionName = (name) => get(words.expression, name) ?? name;

export function reason(code, kinds, text) {
  const known = get(words.reason, code);
  if (!code) return "";
  if (known === undefined || known.includes("{text}")) return text || code;
  return fill(known, { kinds: kinds.map(kindName).join(words.and) });
}

export const language = () => words.language;

export function percent(value) {
  return typeof value === "number" ? `${Math.round(value * 100)} %` : say("not_known");
}

export function number(value, unit = "", digits = 0) {
  if (typeof value !== "number") return say("not_known");
  const shown = value.toLocaleString(words.language, { maximumFractionDigits: digits, minimumFractionDigits: digits });
  return unit ? `${shown} ${unit}` : shown;
}

export const capital = (text) => text.charAt(0).toLocaleUpperCase() + text.slice(1);

export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function made(name, text = "", className = "") {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  if (className) element.className = className;
  return element;
}

// rows: [[name, text], …] into a <dl>; its elements stay, so that a reader's place stays too
export function list(dl, rows) {
  while (dl.children.length > rows.length * 2) dl.lastChild.remove();
  while (dl.children.length < rows.length * 2) dl.append(made(dl.children.length % 2 ? "dd" : "dt"));
  rows.forEach(([name, text], row) => {
    put(dl.children[row * 2], name);
    put(dl.children[row * 2 + 1], text);
  });
}

export function items(ul, texts) {
  while (ul.children.length > texts.length) ul.lastChild.remove();
  while (ul.children.length < texts.length) ul.append(made("li"));
  texts.forEach((text, row) => put(ul.children[row], text));
}

// ---- the shapes: each state has one of its own, so that no colour is needed to tell them apart

const SHAPES = {
  calm: "M12 2a10 10 0 1 1 0 20 10 10 0 0 1 0-20zM7 12.5l3.5 3.5L17 9",
  warning: "M12 2.5 22.5 21h-21zM12 9v6M12 17.6v.8",
  urgent: "M8 2h8l6 6v8l-6 6H8l-6-6V8zM12 6.5v7M12 16.4v1",
  uncertain: "M12 2l10 10-10 10L2 12zM9.6 9.4a2.4 2.4 0 1 1 3.4 2.2c-.7.4-1 .9-1 1.8M12 15.8v.8",
  absent: "M12 3.2a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM4 21c0-9 16-9 16 0",
  blind: "M2 12c5-8 15-8 20 0-5 8-15 8-20 0zM4 20 20 4",
  paused: "M3 3h18v18H3zM9.5 8v8M14.5 8v8",
  shadow: "M3 3h18v18H3zM8 12h8",
  offline: "M12 2a10 10 0 1 1 0 20 10 10 0 0 1 0-20zM5 5l14 14",
  unknown: "M3 3h18v18H3zM9.6 9a2.4 2.4 0 1 1 3.4 2.2c-.7.4-1 .9-1 2.2M12 16.2v.8",
};

export function drawShape(place, name) {
  if (place.dataset.shape === name) return;
  place.dataset.shape = name;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", get(SHAPES, name) ?? SHAPES.unknown);
  svg.append(path);
  place.replaceChildren(svg);
}

// ---- what the device says

export class Device {
  constructor() {
    this.server = false;
    this.refusal = null; // what the server answers instead of telling anything
    this.name = "";
    this.link = { connected: false, problem: "" };
    this.thresholds = {};
    this.wakes = [];
    this.newest = {};
    this.points = [];
    this.marks = [];
    this.liveHere = false;
    this.heard = performance.now();
    this.t = 0;
  }

  now() {
    return this.t + (performance.now() - this.heard) / 1000;
  }

  take(name, told) {
    this.heard = performance.now();
    this.server = true;
    this.refusal = null;
    if (typeof told.t === "number") this.t = told.t;
    switch (name) {
      case "snapshot":
        this.name = told.device;
        this.link = told.link;
        this.thresholds = told.thresholds;
        this.wakes = told.wakes;
        this.newest = told.newest;
        this.points = told.points;
        this.marks = told.marks;
        this.liveHere = false;
        break;
      case "link":
        this.link = told;
        this.liveHere = false;
        break;
      case "availability":
        this.liveHere = false;
        this.newest.availability = told;
        break;
      case "unsaid":
        delete this.newest.state;
        delete this.newest.live;
        break;
      case "alert":
        this.marks.push(told);
        break;
      case "live":
        this.liveHere = true;
        this.newest.live = told;
        this.point(told.t, told.signals);
        break;
      case "state":
        this.newest.state = told;
        this.point(told.t, Object.fromEntries(
          Object.entries(told.kinds).map(([kind, part]) => [kind, part.readable ? part.signal : null])));
        break;
      case "health":
        this.newest.health = told;
        break;
    }
  }

  point(t, signals) {
    const last = this.points.at(-1);
    if (last && t - last[0] < POINT_S) return;
    this.points.push([t, signals]);
    const from = t - HISTORY_S;
    while (this.points.length && this.points[0][0] < from) this.points.shift();
    while (this.marks.length && this.marks[0].t < from) this.marks.shift();
  }

  // the newer of both ways to tell what holds
  said() {
    const { live, state } = this.newest;
    return live && (!state || live.t >= state.t) ? live : state;
  }

  // whether it says how it is, if not what holds of the driver
  speaks() {
    const { availability, health } = this.newest;
    return this.server && this.link.connected && availability?.word === "online" && Boolean(health) && this.now() - health.t <= HEALTH_S;
  }

  // {word, why, known}: word is a key of the pages' words and of SHAPES
  overall() {
    const unknown = (why) => ({ word: "unknown", why, known: false });
    if (!this.server) return unknown(refusalOf(this.refusal));
    if (!this.link.connected) return unknown([say("no_broker"), this.link.problem].filter(Boolean).join(": "));
    const available = this.newest.availability?.word;
    if (available === "offline") return unknown(say("no_device"));
    const said = this.said();
    if (!said) {
      if (this.newest.health?.shadow) return { word: "shadow", why: say("shadow_why"), known: false };
      return unknown(this.link.problem || say("no_word"));
    }
    const silent = this.now() - Math.max(this.newest.live?.t ?? 0, this.newest.state?.t ?? 0);
    if (available !== "online" || silent > (this.liveHere ? SILENT_LIVE_S : SILENT_S)) {
      return unknown(say("silent", { seconds: Math.round(silent) }));
    }
    const open = Object.entries(this.levels()).filter(([, level]) => level).map(([kind]) => kind);
    const why = reason(said.reason_code, open, this.newest.state?.reason ?? "");
    return { word: said.state, why: said.state === "calm" ? "" : why, known: true };
  }

  levels() {
    const said = this.said();
    if (!said) return {};
    if (said.levels) return said.levels;
    return Object.fromEntries(Object.entries(said.kinds).map(([kind, part]) => [kind, part.level]));
  }

  signals() {
    const said = this.said();
    if (!said) return {};
    if (said.signals) return said.signals;
    return Object.fromEntries(
      Object.entries(said.kinds).map(([kind, part]) => [kind, part.readable ? part.signal : null]));
  }

  // an open alert that nobody has acknowledged; the state tells of that, at once where it changes
  waiting() {
    return Object.values(this.newest.state?.kinds ?? {}).some((part) => part.level && !part.acknowledged);
  }
}

const EVENTS = ["snapshot", "link", "availability", "unsaid", "live", "state", "health", "alert", "tick"];

export function watch(device, live, changed) {
  let source = null;
  let again = 0;
  const lose = () => {
    device.server = false;
    changed();
  };
  const open = () => {
    clearTimeout(again);
    source?.close();
    device.heard = performance.now();
    const path = about(`/events?live=${live ? 1 : 0}`);
    const mine = source = new EventSource(path);
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        device.take(name, JSON.parse(event.data));
        if (name !== "live") changed(true); // a change of the state is drawn at once
      });
    }
    source.onerror = async () => {
      lose();
      if (mine.readyState !== EventSource.CLOSED) return;
      const told = await refused(path);
      if (mine !== source || document.hidden) return;
      device.refusal = told;
      device.heard = performance.now();
      again = setTimeout(open, told ? REFUSED_MS : RETRY_MS);
      changed();
    };
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source.close(); // then the device is asked for nothing
    else open();
  });
  setInterval(() => {
    if (document.hidden) return;
    if (performance.now() - device.heard > SERVER_S * 1000) {
      lose();
      if (performance.now() - device.heard > 2 * SERVER_S * 1000) open();
    }
    changed();
  }, 200);
  addEventListener("words", changed);
  open();
}

// ---- who is looking, and what is sent

export async function look() {
  const answer = await fetch("/session");
  session = await answer.json();
  entered ||= Boolean(session.role);
  return session;
}

// whose session is over is told so where one logs in, and comes back here
function leave() {
  const from = new URLSearchParams({ ended: 1, to: location.pathname + location.search });
  location.href = entered ? `/login?${from}` : "/login";
}

// as fetch does; where the session is over, the page is left, and what asked hears nothing more
export async function request(path, options) {
  const answer = await fetch(path, options);
  if (answer.status !== 401 || shown === "login") return answer;
  leave();
  return new Promise(() => {});
}

// what was answered instead, in the page's language where that has words for it
export function refusalOf(body) {
  const text = get(words.refusal, body?.key);
  return text ? fill(text, body.values) : body?.error ?? say("no_server");
}

// what the server answers instead of a stream; null where it does not, or is away
export async function refused(path) {
  const enough = new AbortController();
  const answer = await request(path, { signal: enough.signal }).catch(() => null);
  if (answer && !answer.ok) return answer.json().catch(() => ({}));
  enough.abort();
  return null;
}

export const isOperator = () => session.role === "operator";

export async function send(path, body = {}) {
  const answer = await request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": session.csrf ?? "" },
    body: JSON.stringify(body),
  });
  return { status: answer.status, told: await answer.json() };
}

export async function command(name, body, told) {
  put(told, "…");
  try {
    const { status, told: result } = await send(about(`/command/${name}`), body);
    if (status === 200) put(told, result.message);
    else put(told, status === 504 ? say("no_answer") : status === 403 ? say("not_allowed") : refusalOf(result));
  } catch {
    put(told, say("no_server"));
  }
}

// ---- the bar at the top, and the language

function drawBar(page) {
  const bar = byId("bar");
  const nav = made("nav");
  nav.setAttribute("aria-label", say("pages"));
  if (session.role) {
    const pages = session.fleet ? [["fleet", "/fleet"], ...PAGES] : PAGES;
    for (const [name, path] of pages) {
      const ofOne = OF_A_DEVICE.includes(name);
      if (session.fleet && ofOne && !asked) continue;
      const link = made("a", say(name));
      link.href = ofOne ? about(path) : path;
      if (name === page) link.setAttribute("aria-current", "page");
      nav.append(link);
    }
  }
  const other = words.language === "en" ? "de" : "en";
  const change = made("button", say("language"), "quiet");
  change.type = "button";
  change.lang = other;
  change.id = "language";
  change.addEventListener("click", async () => {
    keep(other);
    await speak(other);
    drawBar(page);
    byId("language").focus();
  });
  const name = made("span", "", "device");
  name.id = "device";
  bar.replaceChildren(nav, name, change);
  if (session.locked && session.role) {
    const out = made("button", say("log_out"), "quiet");
    out.type = "button";
    out.addEventListener("click", async () => {
      await send("/logout");
      location.href = "/login";
    });
    bar.append(out);
  }
}

function keep(language) {
  try {
    localStorage.setItem("language", language);
  } catch {
    return; // a browser that keeps nothing asks anew
  }
}

function kept() {
  try {
    return localStorage.getItem("language");
  } catch {
    return null;
  }
}

async function speak(language) {
  words = await (await fetch(`/words/${language}`)).json();
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-word]")) put(element, say(element.dataset.word));
  dispatchEvent(new Event("words"));
}

export async function begin(page) {
  shown = page;
  const wished = kept() ?? navigator.language.slice(0, 2);
  await Promise.all([speak(LANGUAGES.includes(wished) ? wished : "en"), look()]);
  document.title = `${say(page === "login" ? "log_in" : page)} · Evenkeel`;
  drawBar(page);
  if (page !== "login" && !session.role) location.href = "/login";
}

export function drawState(device) {
  const { word, why } = device.overall();
  byId("state").dataset.state = word;
  drawShape(byId("shape"), word);
  put(byId("word"), say(word));
  put(byId("why"), why);
  const name = byId("device");
  if (name) put(name, device.name);
  return word;
}
