import {
  Device, begin, byId, capital, command, drawShape, drawState, expressionName, get, isOperator, items, kindName, list,
  made, number, percent, put, reason, say, watch,
} from "/page/base.js";
import { drawChart } from "/page/chart.js";

const device = new Device();
const DRAW_MS = 200;
const charts = new Map();
const bars = new Map();
let drawn = 0;

function chartOf(kind) {
  if (!charts.has(kind)) {
    const figure = made("figure");
    const caption = made("figcaption");
    const [shape, name, value, about] = [made("span", "", "mark"), made("strong"), made("span", "", "value"), made("span", "", "about")];
    const canvas = made("canvas");
    canvas.setAttribute("role", "img");
    caption.append(shape, name, value, about);
    figure.append(caption, canvas);
    byId("charts").append(figure);
    charts.set(kind, { figure, canvas, shape, name, value, about });
  }
  return charts.get(kind);
}

function drawCharts(known) {
  const signals = device.signals();
  const levels = device.levels();
  for (const kind of Object.keys(signals)) {
    const { canvas, shape, name, value, about } = chartOf(kind);
    const signal = known ? get(signals, kind) : null;
    const level = known ? get(levels, kind) : null;
    const readable = typeof signal === "number";
    drawShape(shape, level ?? (readable ? "calm" : "unknown"));
    shape.dataset.state = level ?? (readable ? "calm" : "unknown");
    put(name, capital(kindName(kind)));
    const part = get(device.newest.state?.kinds, kind);
    const why = known && part && !part.readable ? reason(part.reason_code, [kind], "") : "";
    const word = level ? say(level) : readable ? say("no_alert") : say("unknown");
    put(value, readable ? `${percent(signal)} · ${word}` : word);
    const threshold = get(device.thresholds, kind);
    put(about, readable || !known
      ? typeof threshold === "number" ? say("threshold", { value: percent(threshold) }) : ""
      : [say("not_readable"), why].filter(Boolean).join(": "));
    const label = say("signal_about", { kind: kindName(kind), value: readable ? percent(signal) : say("unknown"), level: word });
    if (canvas.getAttribute("aria-label") !== label) canvas.setAttribute("aria-label", label);
    drawChart(canvas, device, kind);
  }
  for (const [kind, { figure }] of charts) {
    if (get(signals, kind) === undefined) {
      figure.remove();
      charts.delete(kind);
    }
  }
}

function drawExpression(said, known) {
  const probabilities = known ? said?.probabilities : null;
  const strongest = known ? said?.expression : null;
  const place = byId("expression");
  if (!probabilities || !strongest) {
    if (bars.size || !place.childElementCount) {
      bars.clear();
      place.replaceChildren(made("p"));
    }
    put(place.firstChild, known ? say("nothing_read") : say("unknown"));
    return;
  }
  if (!bars.size) place.replaceChildren();
  for (const [name, value] of Object.entries(probabilities).slice(0, 24)) {
    if (!bars.has(name)) {
      const row = made("div");
      const [label, track, bar, figure] = [made("span", "", "name"), made("span", "", "track"), made("span", "", "bar"), made("span", "", "value")];
      track.append(bar);
      row.append(label, track, figure);
      place.append(row);
      bars.set(name, { row, label, bar, figure });
    }
    const { row, label, bar, figure } = bars.get(name);
    put(label, expressionName(name));
    put(figure, percent(value));
    bar.style.width = `${Math.max(0, Math.min(1, value)) * 100}%`;
    row.classList.toggle("strongest", name === strongest);
  }
}

function drawQuality(said, known) {
  const quality = known ? said?.quality : null;
  const code = said?.reason_code ?? "";
  const why = known && /^(face|picture|eyes)_|^no_/.test(code) ? reason(code, [], "") : "";
  put(byId("quality_word"), !known ? say("unknown") : why || (quality ? say("counts", { value: percent(quality.weight) }) : say("quality_none")));
  list(byId("quality"), quality
    ? [
        [say("brightness"), percent(quality.brightness)],
        [say("sharpness"), percent(quality.sharpness)],
        [say("size"), number(quality.size_px, "px")],
        [say("turn"), number(Math.abs(quality.yaw_deg), "°")],
      ]
    : []);
}

function drawEyes(said, known) {
  const eyes = known ? said?.eyes : null;
  list(byId("eyes"), [
    [say("open_left"), percent(eyes?.openness_left)],
    [say("open_right"), percent(eyes?.openness_right)],
    [say("perclos"), percent(eyes?.perclos)],
    [say("blinks"), number(eyes?.blinks_per_minute)],
  ]);
  const speed = said?.speed_kmh ?? said?.context?.speed_kmh;
  put(byId("speed"), known ? number(speed, "km/h") : say("not_known"));
}

function drawAlerts() {
  const now = device.now();
  const texts = device.marks.slice(-8).reverse().map((mark) => {
    const why = mark.phase === "end" ? reason(mark.reason_code, [mark.kind], "") : say(mark.level);
    const seconds = Math.max(0, Math.round(now - mark.t));
    return `${say("ago", { seconds })}: ${kindName(mark.kind)} ${say(mark.phase)}${why ? ` (${why})` : ""}`;
  });
  items(byId("alerts"), texts.length ? texts : [say("no_alerts")]);
}

function draw(atOnce = false) {
  if (!atOnce && performance.now() - drawn < DRAW_MS / 2) return;
  drawn = performance.now();
  const word = drawState(device);
  const known = word !== "unknown" && word !== "shadow";
  const said = device.said();
  drawCharts(known);
  drawExpression(said, known);
  drawQuality(said, known);
  drawEyes(said, known);
  drawAlerts();
  byId("controls").hidden = !isOperator();
  byId("acknowledge").disabled = !known || !device.waiting();
  for (const name of ["pause", "resume", "recalibrate"]) byId(name).disabled = !known;
  byId("pause").hidden = known && said?.state === "paused";
  byId("resume").hidden = !(known && said?.state === "paused");
}

function twice(button, act) {
  let until = 0;
  button.addEventListener("click", () => {
    if (performance.now() < until) {
      until = 0;
      act();
    } else {
      until = performance.now() + 5000;
      put(byId("told"), say("sure", { what: say(button.dataset.word) }));
    }
  });
}

await begin("now");
byId("acknowledge").addEventListener("click", () => command("acknowledge", {}, byId("told")));
byId("resume").addEventListener("click", () => command("resume", {}, byId("told")));
twice(byId("pause"), () => command("pause", { seconds: 600 }, byId("told")));
twice(byId("recalibrate"), () => command("recalibrate", {}, byId("told")));
watch(device, true, draw);
