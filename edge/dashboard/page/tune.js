// Recorded drives: pick them, mark what they show, tune on them, and see what thresholds come to.

import { begin, byId, get, isOperator, items, kindName, locale, made, number, percent, put, refusalOf, refused, REFUSED_MS, request, RETRY_MS, say, send } from "/page/base.js";
import { Timeline, clock, same, shapeOf, told } from "/page/timeline.js";
import { TradeOff } from "/page/trade_off.js";

const LEAST_S = 0.4;
const UNDOS = 100;

let listed = { drives: [], kinds: {}, faults: [], labels: "" };
let open = ""; // the name of the drive on the timeline
let view = null;
let marks = [];
let undos = [];
let turn = Promise.resolve(); // the last reading or change of marks that was asked for
let news = { job: { state: "idle" }, result: 0, marks: null };
let shownResult = 0;
let result = null;
let trades = [];
let said = null; // what was last told of a mark, again in another language
const picked = new Set();
let known = false; // whether something was picked or left out by hand

const kinds = () => Object.keys(listed.kinds);
const drive = () => listed.drives.find((each) => each.name === open);

async function ask(path) {
  const answer = await request(path);
  const body = await answer.json();
  return answer.ok ? body : { error: refusalOf(body), status: answer.status };
}

function tell(key, values = {}) {
  said = () => say(key, values);
  put(byId("told"), said());
}

// ---- the drives

async function loadDrives() {
  const found = await ask("/tune/drives");
  if (found.error) {
    byId("none").hidden = false;
    put(byId("none"), found.status === 404 ? say("no_folder") : found.error);
    return;
  }
  listed = found;
  if (!known) for (const each of listed.drives) if (!each.fault && each.marks) picked.add(each.name);
  for (const name of picked) if (!listed.drives.some((each) => each.name === name && !each.fault)) picked.delete(name);
  drawDrives();
}

function drawDrives() {
  byId("picking").hidden = byId("running").hidden = false;
  const focused = document.activeElement?.id;
  byId("drives").replaceChildren(...listed.drives.map(driveRow));
  if (focused) byId(focused)?.focus();
  put(byId("labels_told"), say("labels_told", { file: listed.labels }));
  put(byId("drives_told"), !listed.drives.length ? say("no_drives")
    : listed.more ? say("more_drives", { count: listed.drives.length }) : "");
  items(byId("faults"), [...(listed.problem ? [listed.problem] : []), ...listed.faults.map((fault) => `${listed.labels}: ${fault}`)]);
  drawRun();
}

function driveRow(each, place) {
  const row = made("tr");
  const name = made("th");
  name.scope = "row";
  row.append(name);
  if (each.fault) {
    name.textContent = each.name;
    const fault = made("td", each.fault, "fault");
    fault.lang = "en"; // as the command says it
    fault.colSpan = 2;
    row.append(fault);
    return row;
  }
  const label = made("label");
  const box = made("input");
  Object.assign(box, { type: "checkbox", id: `pick-${place}`, checked: picked.has(each.name) });
  box.setAttribute("aria-label", say("pick", { name: each.name }));
  box.addEventListener("change", () => {
    known = true;
    if (box.checked) picked.add(each.name);
    else picked.delete(each.name);
    drawRun();
  });
  const button = made("button", each.name, "quiet");
  Object.assign(button, { type: "button", id: `open-${place}` });
  button.setAttribute("aria-label", say("open", { name: each.name }));
  button.addEventListener("click", () => openDrive(each.name));
  label.append(box);
  const begun = each.begun === null ? say("not_known") : new Date(each.begun).toLocaleString(locale(), { dateStyle: "medium", timeStyle: "short" });
  const date = each.told || each.begun === null ? begun : `${begun} (${say("date_guessed")})`;
  const words = made("div");
  words.append(button, made("div", each.device ? `${each.device} · ${date}` : date, "about"));
  const both = made("div", "", "heads");
  both.append(label, words);
  name.append(both);
  if (each.name === open) row.setAttribute("aria-current", "true");
  row.append(made("td", clock(each.end_s - each.start_s)), made("td", number(each.marks)));
  return row;
}

// ---- one drive and its marks

async function openDrive(name) {
  timeline.settle();
  open = name;
  view = null;
  undos = [];
  byId("timeline").hidden = false;
  put(byId("drive_name"), name);
  put(byId("drive_about"), "");
  put(byId("reading"), say("reading", { share: percent(0) }));
  put(byId("told"), "");
  byId("plotted").hidden = true;
  drawDrives();
  const [found, marked] = await Promise.all([
    ask(`/tune/drive?name=${encodeURIComponent(name)}`),
    inTurn(() => readMarks(name)),
  ]);
  if (open !== name) return; // another one was opened meanwhile
  put(byId("reading"), found.error ?? marked.error ?? "");
  if (found.error) return;
  view = found;
  const rest = Object.keys(view.curves).filter((kind) => !kinds().includes(kind));
  byId("plotted").hidden = false;
  fillKinds();
  timeline.open(view, [...kinds(), ...rest], listed.kinds);
  takeMarks(marked.marks ?? []);
  drawChosen();
  drawDrive();
}

function drawDrive() {
  if (!view) return;
  put(byId("drive_about"), `${clock(view.start_s)} – ${clock(view.end_s)}`);
  put(byId("legend"), say("legend"));
  items(byId("drive_faults"), view.faults);
  for (const [id, word] of [["in", "zoom_in"], ["out", "zoom_out"], ["back", "earlier"], ["forth", "later"]]) byId(id).setAttribute("aria-label", say(word));
  byId("marking").hidden = !isOperator();
  if (!isOperator()) put(byId("told"), say("only_operator"));
}

function fillKinds() {
  const select = byId("kind");
  const now = select.value;
  select.replaceChildren(...kinds().map((kind) => Object.assign(made("option", kindName(kind)), { value: kind })));
  if (kinds().includes(now)) select.value = now;
}

function takeMarks(found) {
  marks = found;
  timeline.setMarks(marks);
  drawMarks();
}

function drawMarks() {
  const focused = document.activeElement?.id;
  byId("marks").replaceChildren(...marks.map(markRow));
  if (focused) byId(focused)?.focus();
  byId("undo").disabled = !undos.length;
  const each = drive();
  if (each && each.marks !== marks.length) {
    each.marks = marks.length;
    if (!known && marks.length) picked.add(open);
    drawDrives();
  }
}

function markRow(mark, place) {
  const row = made("li");
  const box = made("div");
  const what = told(mark);
  const show = made("button", kindName(mark.kind), "quiet");
  Object.assign(show, { type: "button", id: `show-${place}` });
  show.setAttribute("aria-label", say("show_of", { what }));
  show.addEventListener("click", () => timeline.reveal(mark));
  box.append(shapeOf(timeline.kinds.indexOf(mark.kind)), show);
  if (!isOperator()) {
    box.append(made("span", `${clock(mark.start)} – ${clock(mark.end)}`));
  } else {
    for (const [end, word] of [["start", "start_of"], ["end", "end_of"]]) {
      const input = made("input");
      Object.assign(input, { type: "number", step: 0.1, value: mark[end], id: `${end}-${place}` });
      input.setAttribute("aria-label", say(word, { what }));
      input.addEventListener("change", () => {
        if (!Number.isFinite(input.valueAsNumber)) input.value = mark[end];
        else move(mark, { ...mark, [end]: input.valueAsNumber });
      });
      box.append(input);
    }
    const away = made("button", say("take_away"), "quiet");
    away.type = "button";
    away.setAttribute("aria-label", say("take_away_of", { what }));
    away.addEventListener("click", () => remove(mark));
    box.append(away);
  }
  if (mark.start < view.start_s || mark.end > view.end_s) box.append(made("span", say("outside_mark"), "faults"));
  row.append(box);
  return row;
}

// ---- changes of marks: what goes and what comes, in one piece, kept at once

// one reading or change of marks at a time, so that no answer shows marks as they were before a change that came later
function inTurn(act) {
  const mine = turn.then(act);
  turn = mine.catch(() => {});
  return mine;
}

const readMarks = (name) => ask(`/tune/marks?name=${encodeURIComponent(name)}`).catch(() => ({ error: say("no_server") }));

function change(gone, come, key, values) {
  const name = open;
  return inTurn(() => changeOf(name, gone, come, key, values));
}

async function changeOf(name, gone, come, key, values) {
  const { status, told: answer } = await send("/tune/marks", { drive: name, remove: gone, add: come }).catch(() => ({ status: 0, told: {} }));
  if (open !== name) return false;
  if (status === 200) {
    takeMarks(answer.marks);
    tell(key, values);
    return true;
  }
  if (status === 409) tell("others_changed");
  else tell("not_kept", { why: refusalOf(answer) });
  const found = await readMarks(name);
  if (open === name) takeMarks(found.marks ?? marks);
  return false;
}

async function replace(old, mark, key) {
  if (!(mark.end > mark.start)) return refuse("order");
  if (mark.end - mark.start < LEAST_S) return refuse("too_short");
  if (mark.start < view.start_s || mark.end > view.end_s) {
    return refuse("outside", { from: clock(view.start_s), to: clock(view.end_s) });
  }
  const touched = marks.filter((each) => each.kind === mark.kind && each.start < mark.end && each.end > mark.start && !(old && same(each, old)));
  const joined = {
    kind: mark.kind,
    start: Math.min(mark.start, ...touched.map((each) => each.start)),
    end: Math.max(mark.end, ...touched.map((each) => each.end)),
  };
  const gone = [...(old ? [old] : []), ...touched];
  if (await change(gone, [joined], touched.length ? "joined" : key, { what: told(joined) })) remember([joined], gone);
}

function refuse(key, values) {
  tell(key, values);
  takeMarks(marks);
}

const move = (old, mark) => replace(old, mark, "marked");

async function remove(mark) {
  if (await change([mark], [], "taken_away", { what: told(mark) })) remember([], [mark]);
}

function remember(gone, come) {
  undos = [...undos.slice(-UNDOS), { gone, come }];
  byId("undo").disabled = false;
}

async function undo() {
  const last = undos.pop();
  if (last) await change(last.gone, last.come, "undone");
  byId("undo").disabled = !undos.length;
}

// ---- tuning

function drawRun() {
  const count = picked.size;
  const running = news.job.state === "running";
  put(byId("run"), say(!count ? "run_none" : count === 1 ? "run_one" : "run", { count }));
  byId("run").disabled = !count || running || !isOperator();
  byId("cancel").hidden = !running || !isOperator();
  byId("progress").hidden = !running;
  const { state, stage, share, error } = news.job;
  byId("progress").value = share ?? 0;
  byId("progress").setAttribute("aria-label", say("tune_on"));
  const stageWord = stage ? say(`stage_${stage}`) : "";
  put(byId("job"), running ? say("job_running", { stage: stageWord, share: percent(share) })
    : state === "idle" ? (isOperator() ? "" : say("only_operator")) : say(`job_${state}`, { error }));
}

async function run() {
  const most = byId("most");
  if (!most.reportValidity() || most.value === "") return;
  const { status, told: answer } = await send("/tune/run", { drives: [...picked], max_false_per_hour: most.valueAsNumber })
    .catch(() => ({ status: 0, told: null }));
  if (status !== 200) put(byId("job"), refusalOf(answer));
}

async function loadResult() {
  const wanted = news.result;
  if (!wanted || wanted === shownResult) return;
  shownResult = wanted;
  const found = await ask("/tune/result");
  if (found.error) return;
  result = found;
  byId("kinds").replaceChildren();
  trades = Object.entries(result.kinds).map(([kind, each]) => new TradeOff(kind, Math.max(kinds().indexOf(kind), 0), each, drawChosen));
  drawResult();
}

function drawResult() {
  if (!result) return;
  byId("result").hidden = false;
  put(byId("result_about"), say("result_about", {
    traces: number(result.traces.length), hours: number(result.hours, "", 2), episodes: number(result.episodes) }));
  items(byId("broken"), result.broken.length ? [say("nothing"), ...result.broken] : []);
  items(byId("summary"), result.summary);
  items(byId("result_faults"), result.faults);
  for (const trade of trades) trade.draw();
  drawChosen();
}

// what is chosen: alerts and thresholds on the timeline, and the section to download
function drawChosen() {
  const link = byId("section");
  if (!result || result.broken.length) link.removeAttribute("href");
  else {
    const other = trades.filter((trade) => trade.at !== trade.told.chosen).map((trade) => [trade.kind, trade.at]);
    link.href = `/tune/section?${new URLSearchParams(other)}`;
  }
  if (!view) return;
  const number_ = result ? result.traces.indexOf(open) : -1;
  timeline.chosen = {};
  timeline.thresholds = { ...listed.kinds };
  for (const trade of number_ < 0 ? [] : trades) {
    timeline.chosen[trade.kind] = trade.point().starts.filter(([at]) => at === number_).map(([, t]) => t);
    const enter = get(trade.point().settings, "enter");
    if (typeof enter === "number") timeline.thresholds[trade.kind] = enter;
  }
  timeline.draw();
}

// ---- what others do, and how tuning goes

async function heard(told_) {
  const before = news;
  news = told_;
  drawRun();
  if (!view && typeof get(news.reading, open) === "number") put(byId("reading"), say("reading", { share: percent(news.reading[open]) }));
  await loadResult();
  if (before.marks === null || before.marks === news.marks) return;
  await loadDrives();
  await inTurn(() => hearMarks(open));
}

async function hearMarks(name) {
  if (!view) return;
  const found = await readMarks(name);
  if (open !== name || found.error || timeline.moved) return;
  const equal = found.marks.length === marks.length && found.marks.every((each, place) => same(each, marks[place]));
  if (equal) return;
  takeMarks(found.marks);
  tell("others_news");
}

function listen() {
  const source = new EventSource("/tune/events");
  source.addEventListener("tune", (event) => heard(JSON.parse(event.data)));
  source.onerror = async () => {
    put(byId("job"), say("no_server"));
    if (source.readyState !== EventSource.CLOSED) return;
    const instead = await refused("/tune/events");
    if (instead) put(byId("job"), refusalOf(instead));
    setTimeout(listen, instead ? REFUSED_MS : RETRY_MS);
  };
}

await begin("tune");
const timeline = new Timeline(isOperator, { mark: (mark) => replace(null, mark, "marked"), move, remove });
document.body.classList.toggle("viewer", !isOperator());
byId("run").addEventListener("click", run);
byId("cancel").addEventListener("click", () => send("/tune/cancel"));
byId("undo").addEventListener("click", undo);
byId("marking").addEventListener("submit", (event) => {
  event.preventDefault();
  replace(null, { kind: byId("kind").value, start: byId("from").valueAsNumber, end: byId("to").valueAsNumber }, "marked");
});
addEventListener("keydown", (event) => {
  if (event.key === "z" && (event.ctrlKey || event.metaKey) && event.target.tagName !== "INPUT" && isOperator()) undo();
});
addEventListener("words", () => {
  if (listed.labels) drawDrives();
  if (!byId("none").hidden) put(byId("none"), say("no_folder"));
  if (view) {
    fillKinds();
    timeline.draw();
    drawMarks();
    drawDrive();
  }
  drawResult();
  if (said) put(byId("told"), said());
});
await loadDrives();
if (byId("none").hidden) {
  listen();
  const first = listed.drives.find((each) => !each.fault);
  if (first) await openDrive(first.name);
}
