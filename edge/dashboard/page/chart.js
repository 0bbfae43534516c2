// One kind's signal over the last minutes on a canvas. What was not known is hatched, never drawn as a line at zero.

import { get } from "/page/base.js";

const SPAN_S = 300;
const GAP_S = 12; // points further apart than a heartbeat: nothing was heard between them
const LOW = 4;

export function drawChart(canvas, device, kind) {
  const scale = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (!width) return;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(name);
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);

  const now = device.now();
  const x = (t) => width - ((now - t) / SPAN_S) * width;
  const y = (value) => height - LOW - value * (height - 2 * LOW);

  hatch(pen, width, height, colour("--hatch"));
  const known = pieces(device.points, kind);
  pen.fillStyle = colour("--card");
  for (const piece of known) {
    const from = x(piece[0][0]);
    pen.fillRect(from, 0, x(piece.at(-1)[0]) - from, height);
  }
  for (const [from, to, level] of spans(device.marks, kind, now)) {
    pen.fillStyle = colour(`--${level}-soft`);
    pen.fillRect(x(from), 0, Math.max(x(to) - x(from), 1), height);
  }
  const threshold = get(device.thresholds, kind);
  if (typeof threshold === "number") {
    pen.strokeStyle = colour("--quiet");
    pen.setLineDash([6, 4]);
    pen.lineWidth = 1;
    line(pen, [[0, y(threshold)], [width, y(threshold)]]);
    pen.setLineDash([]);
  }
  pen.strokeStyle = colour("--line");
  pen.lineWidth = 2;
  for (const piece of known) line(pen, piece.map(([t, value]) => [x(t), y(value)]));
  for (const mark of device.marks) {
    if (mark.kind === kind && mark.phase !== "end") drawMark(pen, Math.min(Math.max(x(mark.t), 6), width - 6), mark.level, colour(`--${mark.level}`));
  }
}

export function line(pen, points) {
  pen.beginPath();
  points.forEach(([x, y], number) => (number ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  if (points.length === 1) pen.lineTo(points[0][0] + 1, points[0][1]);
  pen.stroke();
}

export function hatch(pen, width, height, colour) {
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.beginPath();
  for (let left = -height; left < width; left += 8) {
    pen.moveTo(left, height);
    pen.lineTo(left + height, 0);
  }
  pen.stroke();
}

// runs of points in which the signal was known
function pieces(points, kind) {
  const found = [];
  let run = [];
  for (const [t, signals] of points) {
    const value = get(signals, kind);
    const broken = run.length && t - run.at(-1)[0] > GAP_S;
    if ((typeof value !== "number" || broken) && run.length) {
      found.push(run);
      run = [];
    }
    if (typeof value === "number") run.push([t, value]);
  }
  if (run.length) found.push(run);
  return found;
}

// [from, to, level] of each alert, a new one where it escalates
function spans(marks, kind, now) {
  const found = [];
  let open = null;
  for (const mark of marks) {
    if (mark.kind !== kind) continue;
    if (open) found.push([open.t, mark.t, open.level]);
    open = mark.phase === "end" ? null : mark;
  }
  if (open) found.push([open.t, now, open.level]);
  return found;
}

// a triangle for a warning, a square for urgent: told apart by shape too
function drawMark(pen, x, level, colour) {
  pen.fillStyle = colour;
  pen.beginPath();
  if (level === "urgent") {
    pen.rect(x - 5, 1, 10, 10);
  } else {
    pen.moveTo(x, 1);
    pen.lineTo(x + 6, 12);
    pen.lineTo(x - 6, 12);
  }
  pen.fill();
}
