// The numbers around one alert: curves over one axis of time, and a slider that tells what held at a moment.

import { capital, expressionName, get, kindName, made, number, put, reason, say } from "/page/base.js";
import { hatch, line } from "/page/chart.js";

const GAP_S = 3; // samples further apart: nothing is known between them
const LOW = 6;
const SHOWN = 3; // expressions, the strongest ones
const STYLES = [[], [7, 4], [2, 3]]; // curves are told apart by their dashes too

export function around(detail) {
  const place = made("div", "", "around");
  const { numbers, episode, alerts } = detail;
  if (!numbers) {
    place.append(made("p", say("no_numbers")), made("p", say("no_numbers_how"), "about"));
    return { place, draw: () => {} };
  }
  const at = numbers.t_s.map((t, row) => [t, row]).filter(([t]) => typeof t === "number").sort(([a], [b]) => a - b);
  const span = [at[0][0], at.at(-1)[0]];
  const end = alerts.find(({ phase }) => phase === "end")?.at_s ?? null;
  const share = (values) => at.map(([t, row]) => [t, typeof values?.[row] === "number" ? values[row] / 100 : null]);
  const speeds = numbers.speed_kmh.filter((value) => typeof value === "number");
  const top = Math.max(10, ...speeds) * 1.1;
  const charts = Object.keys(numbers.signals).sort((a, b) => (b === episode.kind) - (a === episode.kind)).map((kind) => ({
    title: say("evidence_of", { kind: kindName(kind) }),
    curves: [{ name: kindName(kind), points: share(numbers.signals[kind]) }],
    threshold: typeof get(numbers.thresholds, kind) === "number" ? numbers.thresholds[kind] / 100 : null,
    levels: at.map(([t, row]) => [t, get(numbers.levels, kind)?.[row] ?? null]),
  }));
  const strongest = Object.entries(numbers.expressions)
    .map(([name, values]) => [name, Math.max(...values.map((value) => value ?? 0))])
    .sort(([, a], [, b]) => b - a).slice(0, SHOWN).map(([name]) => name);
  charts.push({ title: say("expressions"), curves: strongest.map((name) => ({ name: expressionName(name), points: share(numbers.expressions[name]) })) });
  charts.push({
    title: say("eyes_open"),
    curves: [
      { name: say("left"), points: share(numbers.open_left_percent) },
      { name: say("right"), points: share(numbers.open_right_percent) },
      { name: say("closed_minute"), points: share(numbers.perclos_percent) },
    ],
  });
  if (speeds.length) {
    charts.push({ title: say("speed_to", { top: number(Math.round(top / 1.1), "km/h") }), curves: [{ name: say("speed"), points: at.map(([t, row]) => [t, typeof numbers.speed_kmh[row] === "number" ? numbers.speed_kmh[row] / top : null]) }] });
  }
  if (numbers.missing) place.append(made("p", say("missing", { missing: numbers.missing, total: numbers.total })));
  const label = made("label", say("moment"));
  const slider = made("input");
  slider.type = "range";
  slider.min = 0;
  slider.max = at.length - 1;
  slider.value = at.findIndex(([t]) => t >= 0);
  label.append(slider);
  const told = made("p", "", "moment");
  told.setAttribute("role", "status");
  const figures = charts.map((chart) => {
    const figure = made("figure");
    const caption = made("figcaption");
    caption.append(made("strong", capital(chart.title)));
    if (chart.curves.length > 1) {
      chart.curves.forEach(({ name }, place) => caption.append(key(name, place)));
    }
    const canvas = made("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", aria(chart));
    figure.append(caption, canvas);
    return { ...chart, figure, canvas };
  });
  const grid = made("div", "", "curves");
  grid.append(...figures.map(({ figure }) => figure));
  place.append(label, told, grid, made("p", say("around_about"), "about"));
  const draw = () => {
    const [t, row] = at[Number(slider.value)];
    const open = Object.keys(numbers.levels).filter((kind) => numbers.levels[kind][row]);
    const why = reason(numbers.reason_codes[row], open, "");
    const texts = [
      say("at", { t: number(t, "s", 1) }),
      [capital(say(numbers.states[row] ?? "unknown")), why].filter(Boolean).join(": "),
      ...Object.keys(numbers.signals).map((kind) => `${kindName(kind)} ${whole(numbers.signals[kind][row])}`),
      say("open_both", { left: whole(numbers.open_left_percent[row]), right: whole(numbers.open_right_percent[row]) }),
      ...strongest.slice(0, 1).map((name) => `${expressionName(name)} ${whole(numbers.expressions[name][row])}`),
      say("counts", { value: whole(numbers.weight_percent[row]) }),
      number(numbers.speed_kmh[row], typeof numbers.speed_kmh[row] === "number" ? "km/h" : ""),
    ];
    put(told, texts.join(" · "));
    for (const each of figures) paint(each, span, t, end);
  };
  slider.addEventListener("input", draw);
  return { place, draw };
}

const whole = (value) => (typeof value === "number" ? `${value} %` : say("not_known"));

function key(name, place) {
  const span = made("span", name, "key");
  span.dataset.curve = place;
  return span;
}

function aria({ title, curves }) {
  const told = curves.map(({ name, points }) => {
    const known = points.map(([, value]) => value).filter((value) => typeof value === "number");
    return `${name}: ${known.length ? `${Math.round(100 * Math.min(...known))}–${Math.round(100 * Math.max(...known))} %` : say("not_known")}`;
  });
  return `${title}. ${told.join("; ")}`;
}

function paint({ canvas, curves, threshold, levels }, [from, to], now, end) {
  const scale = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width) return;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(name);
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  const x = (t) => ((t - from) / Math.max(to - from, 1)) * width;
  const y = (value) => height - LOW - value * (height - 2 * LOW);
  pen.clearRect(0, 0, width, height);
  hatch(pen, width, height, colour("--hatch"));
  const limit = gapOf(curves[0]?.points ?? []);
  const pieces = curves.map(({ points }) => runs(points, limit));
  pen.fillStyle = colour("--card");
  for (const piece of pieces.flat()) pen.fillRect(x(piece[0][0]), 0, Math.max(x(piece.at(-1)[0]) - x(piece[0][0]), 1), height);
  for (const [start, stop, level] of bands(levels ?? [])) {
    pen.fillStyle = colour(`--${level}-soft`);
    pen.fillRect(x(start), 0, Math.max(x(stop) - x(start), 2), height);
  }
  pen.lineWidth = 1;
  pen.strokeStyle = colour("--quiet");
  for (const t of [0, end]) {
    if (typeof t === "number") line(pen, [[x(t), 0], [x(t), height]]);
  }
  if (typeof threshold === "number") {
    pen.setLineDash([6, 4]);
    line(pen, [[0, y(threshold)], [width, y(threshold)]]);
  }
  pen.lineWidth = 2;
  pieces.forEach((runsOf, place) => {
    pen.strokeStyle = colour(`--curve-${place}`);
    pen.setLineDash(STYLES[place] ?? []);
    for (const piece of runsOf) line(pen, piece.map(([t, value]) => [x(t), y(value)]));
  });
  pen.setLineDash([]);
  pen.lineWidth = 1;
  pen.strokeStyle = colour("--text");
  line(pen, [[x(now), 0], [x(now), height]]);
}

// runs of samples in which something was known
function runs(points, limit) {
  const found = [];
  let run = [];
  for (const [t, value] of points) {
    if (run.length && (typeof value !== "number" || t - run.at(-1)[0] > limit)) {
      found.push(run);
      run = [];
    }
    if (typeof value === "number") run.push([t, value]);
  }
  if (run.length) found.push(run);
  return found;
}

// of an alert that lasted, samples are further apart
function gapOf(points) {
  const gaps = points.slice(1).map(([t], place) => t - points[place][0]).sort((one, other) => one - other);
  return Math.max(GAP_S, 2 * (gaps[Math.floor(gaps.length * 0.9)] ?? 0));
}

function bands(levels) {
  const found = [];
  for (const [t, level] of levels) {
    const last = found.at(-1);
    if (last && last[2] === level) last[1] = t;
    else if (level === "warning" || level === "urgent") found.push([t, t, level]);
    else if (last && last[2] !== null) found.push([t, t, null]);
  }
  return found.filter(([, , level]) => level);
}
