import { begin, byId, capital, drawShape, get, isOperator, kindName, kinds, locale, made, number, percent, put, reason, refusalOf, request, say, send } from "/page/base.js";
import { around } from "/page/around.js";

const DAY_MS = 86_400_000;
const FIRST_DAYS = 7;
const ASK_MS = 250; // so long after the last change of a filter it is asked for

let told = null; // what the server last said
let asked = 0;
let timer = 0;
let failed = "";

// ---- days, in the zone of whoever looks

const two = (value) => String(value).padStart(2, "0");
const dayOf = (ms) => {
  const date = new Date(ms);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
};
const beginOf = (day) => new Date(`${day}T00:00:00`).getTime();
const endOf = (day) => {
  const date = new Date(`${day}T00:00:00`);
  date.setDate(date.getDate() + 1); // a day of which the clock is changed has 23 or 25 hours
  return date.getTime() - 1;
};
const year = (date) => (date.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" });
const shownDay = (day) => {
  const date = new Date(`${day}T12:00:00`);
  return date.toLocaleDateString(locale(), { weekday: "short", day: "numeric", month: "short", ...year(date) });
};
const shownTime = (ms) => {
  const date = new Date(ms);
  return date.toLocaleString(locale(), { day: "numeric", month: "short", ...year(date), hour: "2-digit", minute: "2-digit", second: "2-digit" });
};

function duration(seconds) {
  if (typeof seconds !== "number") return say("not_known");
  if (seconds < 60) return number(seconds, "s", seconds < 10 ? 1 : 0);
  const whole = Math.round(seconds);
  if (whole < 3600) return [number(Math.floor(whole / 60), "min"), whole % 60 ? number(whole % 60, "s") : ""].filter(Boolean).join(" ");
  const minutes = Math.round(whole / 60);
  return `${number(Math.floor(minutes / 60), "h")} ${number(minutes % 60, "min")}`;
}

// ---- asking

function wanted() {
  const [since, until] = [beginOf(byId("since").value), endOf(byId("until").value)];
  if (!(since >= 0) || !(until >= since)) return null;
  const asked = new URLSearchParams({ since, until });
  for (const name of ["device", "kind"]) {
    const value = byId(`${name}_of`).value;
    if (value) asked.set(name, value);
  }
  return asked;
}

async function ask() {
  const query = wanted();
  if (!query) {
    put(byId("told"), say("wrong_days"));
    return;
  }
  const number = ++asked;
  const answer = await request(`/history/episodes?${query}`).catch(() => null);
  const body = answer && await answer.json().catch(() => null);
  if (number !== asked) return; // a newer question is under way
  if (answer?.status === 404) {
    byId("none").hidden = false;
    return;
  }
  failed = answer?.ok && body ? "" : refusalOf(body);
  if (answer?.ok && body) told = body;
  draw();
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(ask, ASK_MS);
}

// ---- drawing

function options(select, first, rows) {
  const before = select.value;
  const all = [["", first], ...rows];
  if (before && !rows.some(([value]) => value === before)) all.push([before, before]);
  select.replaceChildren(...all.map(([value, text]) => {
    const option = made("option", text);
    option.value = value;
    return option;
  }));
  select.value = before;
}

const short = (device) => (devicesOfOnePrefix() ? device.slice(device.indexOf("/") + 1) : device);
const devicesOfOnePrefix = () => new Set(told.devices.map(({ device }) => device.split("/")[0])).size < 2;

function drawFilter() {
  options(byId("device_of"), say("all_devices"), told.devices.map(({ device }) => [device, short(device)]));
  const known = new Set([...kinds(), ...told.episodes.map(({ kind }) => kind)]);
  const query = wanted();
  for (const format of ["csv", "parquet"]) byId(format).href = `/history/export.${format}?${query}`;
  options(byId("kind_of"), say("all_kinds"), [...known].map((kind) => [kind, capital(kindName(kind))]));
}

function drawDays() {
  const shown = [...new Set(told.episodes.map(({ kind }) => kind))].sort();
  const days = new Map();
  const day = (ms) => {
    const name = dayOf(ms);
    if (!days.has(name)) days.set(name, { counts: {}, driven: 0, known: 0, breaks: [] });
    return days.get(name);
  };
  for (const one of told.episodes) {
    const { counts } = day(one.at);
    counts[one.kind] = (get(counts, one.kind) ?? 0) + 1;
  }
  for (const { hours, breaks } of told.driven) {
    for (const [ms, driven, known] of hours) {
      day(ms).driven += driven;
      day(ms).known += known;
    }
    for (const [ms, minutes, known] of breaks) if (told.driven.length === 1) day(ms).breaks.push([minutes, known]);
  }
  const most = Math.max(1, ...[...days.values()].flatMap(({ counts }) => Object.values(counts)));
  const heads = [say("day"), say("driven"), ...shown.map((kind) => capital(kindName(kind)))];
  if (told.driven.length === 1) heads.push(say("breaks"));
  byId("days_head").replaceChildren(...heads.map((text) => {
    const head = made("th", text);
    head.scope = "col";
    return head;
  }));
  byId("days").replaceChildren(...[...days].sort(([a], [b]) => (a < b ? 1 : -1)).map(([name, { counts, driven, known, breaks }]) => {
    const row = made("tr");
    const head = made("th", shownDay(name));
    head.scope = "row";
    row.append(head, made("td", known ? duration(driven * 60) : say("not_known")));
    for (const kind of shown) {
      const count = get(counts, kind) ?? 0;
      const cell = made("td", String(count));
      const bar = made("span", "", "bar");
      bar.style.width = `${(100 * count) / most}%`;
      cell.append(bar);
      row.append(cell);
    }
    if (told.driven.length === 1) {
      const texts = breaks.map(([minutes, stood]) => (stood * 2 >= minutes ? duration(minutes * 60) : say("unheard", { time: duration(minutes * 60) })));
      row.append(made("td", texts.join(", ") || "–"));
    }
    return row;
  }));
  put(byId("days_about"), say("driven_about"));
}

function drawList() {
  hide();
  byId("list").replaceChildren(...told.episodes.map((one) => {
    const row = made("tr");
    const when = made("td");
    when.append(made("span", shownTime(one.at)));
    if (!one.believed) when.append(made("span", say("clock_unset"), "under"));
    const what = made("td");
    const level = made("span", "", "level");
    const shape = made("span");
    shape.dataset.state = one.level;
    drawShape(shape, one.level);
    level.append(shape, made("strong", capital(kindName(one.kind))), made("span", say(one.level)));
    const opens = made("button", "", "quiet");
    opens.type = "button";
    opens.setAttribute("aria-expanded", "false");
    opens.append(level);
    opens.addEventListener("click", () => show(one, row, opens));
    what.append(opens);
    const details = [
      told.devices.length > 1 || one.device !== told.devices[0]?.device ? short(one.device) : "",
      one.cause ? get(causes(), one.cause) ?? one.cause : "",
      one.ended ? say("ended", { why: reason(one.reason_code, [one.kind], one.reason ?? "") || say("not_known") }) : say("no_end"),
      one.acknowledged ? say("acknowledged") : "",
      typeof one.speed_kmh === "number" ? number(one.speed_kmh, "km/h") : "",
    ].filter(Boolean);
    what.append(made("span", details.join(" · "), "under"));
    const lasted = one.ended ? duration(one.duration_s) : "–";
    what.append(made("span", `${lasted} · ${percent(one.peak)}`, "under narrow"));
    row.append(when, what, made("td", lasted), made("td", percent(one.peak)));
    return row;
  }));
}

// ---- the numbers around an episode, below its row

let shown = null;

function hide() {
  shown?.row.remove();
  shown?.opens.setAttribute("aria-expanded", "false");
  shown?.parent.classList.remove("open");
  shown = null;
}

async function show(one, parent, opens) {
  const again = shown?.one.episode === one.episode;
  hide();
  if (again) return;
  const row = made("tr", "", "detail");
  const cell = made("td");
  cell.colSpan = 4;
  row.append(cell);
  parent.after(row);
  parent.classList.add("open");
  opens.setAttribute("aria-expanded", "true");
  const mine = { one, row, parent, opens, draw: () => {} };
  shown = mine;
  put(cell, "…");
  const query = new URLSearchParams({ device: one.device, episode: one.episode });
  const answer = await request(`/history/episode?${query}`).catch(() => null);
  const body = answer && await answer.json().catch(() => null);
  if (shown !== mine) return;
  if (!answer?.ok || !body) {
    put(cell, refusalOf(body));
    return;
  }
  const made_ = around(body);
  cell.replaceChildren(made_.place);
  mine.draw = made_.draw;
  made_.draw();
}

addEventListener("resize", () => shown?.draw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => shown?.draw());

async function take(event) {
  event.preventDefault();
  const answer = await request(event.currentTarget.href).catch(() => null);
  if (!answer?.ok) {
    put(byId("told"), refusalOf(await answer?.json().catch(() => null)));
    return;
  }
  const name = /filename="([\w.-]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? "evenkeel";
  const link = made("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const causes = () => ({ microsleep: say("microsleep"), drowsy: say("drowsy") });

function draw() {
  byId("filter").hidden = !told;
  if (!told) {
    put(byId("told"), failed);
    return;
  }
  drawFilter();
  drawDays();
  drawList();
  const none = !told.episodes.length;
  byId("days_card").hidden = none && !told.driven.length;
  byId("list_card").hidden = none;
  const newest = told.newest === null ? say("no_episode_at_all") : say("no_episode", { when: shownTime(told.newest) });
  put(byId("told"), [failed, told.problem, told.more ? say("more", { count: told.episodes.length }) : "", told.driven_more ? say("driven_more") : "", none ? newest : ""].filter(Boolean).join(" "));
  drawErase();
}

function drawErase() {
  const device = byId("device_of").value;
  byId("erase_card").hidden = !isOperator() || !device;
  put(byId("erase_label"), say("erase_confirm", { id: device.split("/").at(-1) }));
}

// ---- what can be done

byId("erase").addEventListener("submit", async (event) => {
  event.preventDefault();
  const device = byId("device_of").value;
  put(byId("erased"), "…");
  const { status, told: answer } = await send("/history/erase", { device, confirmed: byId("confirmed").value }).catch(() => ({ status: 0 }));
  if (status !== 200) {
    put(byId("erased"), refusalOf(answer));
    return;
  }
  byId("confirmed").value = "";
  byId("device_of").value = "";
  await ask();
  put(byId("told"), say("erased", { device: answer.device, count: answer.alerts }));
});

for (const format of ["csv", "parquet"]) byId(format).addEventListener("click", take);
for (const id of ["device_of", "kind_of", "since", "until"]) byId(id).addEventListener("change", soon);
addEventListener("words", () => told && draw());

await begin("history");
byId("until").value = dayOf(Date.now());
byId("since").value = dayOf(Date.now() - (FIRST_DAYS - 1) * DAY_MS);
await ask();
