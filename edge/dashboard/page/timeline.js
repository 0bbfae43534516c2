// A drive over time: a lane for each kind with its signal, alerts and marks; marks are made and moved by mouse and by keys.

import { byId, capital, get, kindName, made, put, say } from "/page/base.js";
import { hatch } from "/page/chart.js";

const UNKNOWN = 255;
const SCALE = 250;
const LOW = 5;
const LEAST_S = 0.4; // no shorter mark
const LEAST_SPAN_S = 5;
const KEY_S = 0.2;
const SETTLE_MS = 600; // after the last key a moved mark is kept
const SERIOUS = ["urgent", "warning", "blind", "absent", "paused", "uncertain", "calm"];

export const KINDS = 4; // colours and shapes there are

export function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const [hours, minutes, rest] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60, tenths % 600];
  const tail = (rest / 10).toFixed(1).padStart(4, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

export const told = (mark) => say("mark_about", { kind: kindName(mark.kind), from: clock(mark.start), to: clock(mark.end) });
export const same = (a, b) => a.kind === b.kind && a.start === b.start && a.end === b.end;
const tenth = (seconds) => Math.round(seconds * 10) / 10;
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

export function shapeOf(number) {
  return made("span", "", `shape shape-${number % KINDS} kind-${number % KINDS}`);
}

// a pen for a canvas at the screen's own resolution, and what it has to draw on
export function fitted(canvas) {
  const scale = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  const style = getComputedStyle(canvas);
  return { pen, width, height, colour: (name) => style.getPropertyValue(name) };
}

export class Timeline {
  // may: whether marks may be changed; mark(start, end, kind), move(old, mark), remove(mark) do it
  constructor(may, { mark, move, remove }) {
    this.may = may;
    this.act = { mark, move, remove };
    this.view = null;
    this.lanes = new Map();
    this.marks = [];
    this.chosen = {};
    this.thresholds = {};
    byId("in").addEventListener("click", () => this.zoom(0.5));
    byId("out").addEventListener("click", () => this.zoom(2));
    byId("whole").addEventListener("click", () => this.show(this.view.start_s, this.view.end_s));
    byId("back").addEventListener("click", () => this.pan(-0.5));
    byId("forth").addEventListener("click", () => this.pan(0.5));
    this.followOverview();
    new ResizeObserver(() => this.draw()).observe(byId("lanes"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  open(view, kinds, thresholds) {
    this.view = view;
    this.kinds = kinds;
    this.thresholds = { ...thresholds };
    this.curves = Object.fromEntries(
      Object.entries(view.curves).map(([kind, { low, high }]) => [kind, { low: bytes(low), high: bytes(high) }]));
    this.state = bytes(view.state);
    this.lanes.clear();
    byId("lanes").replaceChildren();
    kinds.forEach((kind, number) => this.addLane(kind, number));
    this.show(view.start_s, view.end_s);
  }

  addLane(kind, number) {
    const lane = made("div", "", "lane");
    const name = made("span", "", "lane_name");
    const word = made("span");
    const canvas = made("canvas");
    canvas.setAttribute("role", "img");
    name.append(shapeOf(number), word);
    lane.append(canvas, name);
    byId("lanes").append(lane);
    this.lanes.set(kind, { lane, canvas, word, number, blocks: [] });
    lane.addEventListener("pointerdown", (event) => this.drag(event, kind));
    lane.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.timeAt(event, lane));
    }, { passive: false });
  }

  // ---- the part that is shown

  show(from, to) {
    const { start_s: start, end_s: end } = this.view;
    const whole = Math.max(end - start, LEAST_SPAN_S);
    const span = clamp(to - from, LEAST_SPAN_S, whole);
    this.from = clamp(from, start, start + whole - span);
    this.to = this.from + span;
    this.draw();
  }

  zoom(times, around = (this.from + this.to) / 2) {
    this.show(around - (around - this.from) * times, around + (this.to - around) * times);
  }

  pan(share) {
    const by = (this.to - this.from) * share;
    this.show(this.from + by, this.to + by);
  }

  reveal(mark) {
    const room = Math.max(20, (mark.end - mark.start) * 2);
    this.show(mark.start - room, mark.end + room);
  }

  followOverview() {
    const canvas = byId("overview");
    const move = (event) => {
      const { left, width } = canvas.getBoundingClientRect();
      const at = this.view.start_s + ((event.clientX - left) / width) * (this.view.end_s - this.view.start_s);
      const half = (this.to - this.from) / 2;
      this.show(at - half, at + half);
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      move(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) move(event);
    });
  }

  timeAt(event, lane) {
    const { left, width } = lane.getBoundingClientRect();
    return clamp(this.from + ((event.clientX - left) / width) * (this.to - this.from), this.view.start_s, this.view.end_s);
  }

  // ---- marks

  setMarks(marks) {
    const focused = document.activeElement?.mark;
    this.marks = marks;
    for (const each of this.lanes.values()) {
      for (const block of each.blocks) block.remove();
      each.blocks = [];
    }
    for (const mark of marks) {
      const lane = this.lanes.get(mark.kind);
      if (!lane) continue;
      const block = made("button", "", `block kind-${lane.number % KINDS}`);
      block.type = "button";
      block.mark = mark;
      block.append(made("span", "", "end"), made("span", "", "end"));
      block.addEventListener("keydown", (event) => this.key(event, block));
      block.addEventListener("blur", () => this.settle());
      lane.lane.append(block);
      lane.blocks.push(block);
      if (focused && same(focused, mark)) block.focus();
    }
    this.draw();
  }

  place(block, start, end) {
    const span = this.to - this.from;
    const [left, right] = [clamp((start - this.from) / span, -0.1, 1.1), clamp((end - this.from) / span, -0.1, 1.1)];
    block.hidden = right <= 0 || left >= 1;
    block.style.left = `${left * 100}%`;
    block.style.width = `${(right - left) * 100}%`;
  }

  drag(event, kind) {
    if (event.button !== 0 || !this.may()) return;
    const { lane, number } = this.lanes.get(kind);
    const block = event.target.closest(".block");
    const end = event.target.closest(".end");
    if (block && !end) return; // a click takes hold of it for the keys
    event.preventDefault();
    const begun = this.timeAt(event, lane);
    const old = block?.mark;
    const fixed = old ? (end === block.firstChild ? old.end : old.start) : begun;
    const drawn = block ?? lane.appendChild(made("div", "", `block drawn kind-${number % KINDS}`));
    let at = old ? (end === block.firstChild ? old.start : old.end) : begun;
    const draw = () => this.place(drawn, Math.min(fixed, at), Math.max(fixed, at));
    const move = (moved) => {
      at = this.timeAt(moved, lane);
      draw();
    };
    const finish = (kept) => {
      lane.removeEventListener("pointermove", move);
      lane.removeEventListener("pointerup", up);
      lane.removeEventListener("pointercancel", cancel);
      if (!block) drawn.remove();
      const [start, to] = [tenth(Math.min(fixed, at)), tenth(Math.max(fixed, at))];
      if (!kept || to - start < LEAST_S) this.draw();
      else if (old) this.act.move(old, { kind, start: fixed === old.start ? old.start : start, end: fixed === old.end ? old.end : to });
      else this.act.mark({ kind, start, end: to });
    };
    const up = () => finish(true);
    const cancel = () => finish(false);
    lane.setPointerCapture(event.pointerId);
    lane.addEventListener("pointermove", move);
    lane.addEventListener("pointerup", up);
    lane.addEventListener("pointercancel", cancel);
  }

  key(event, block) {
    if (!this.may()) return;
    if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      this.moved = null;
      this.act.remove(block.mark);
      return;
    }
    const by = { ArrowLeft: -KEY_S, ArrowRight: KEY_S }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    const now = { ...(this.moved?.block === block ? this.moved.now : block.mark) };
    if (event.shiftKey) now.start = tenth(clamp(now.start + by, this.view.start_s, now.end - LEAST_S));
    else now.end = tenth(clamp(now.end + by, now.start + LEAST_S, this.view.end_s));
    clearTimeout(this.moved?.timer);
    this.moved = { block, now, timer: setTimeout(() => this.settle(), SETTLE_MS) };
    this.place(block, now.start, now.end);
    block.setAttribute("aria-label", told(now));
  }

  settle() {
    if (!this.moved) return;
    const { block, now, timer } = this.moved;
    clearTimeout(timer);
    this.moved = null;
    if (!same(block.mark, now)) {
      const old = block.mark;
      block.mark = now; // the focus stays with it
      this.act.move(old, now);
    }
  }

  // ---- drawing

  draw() {
    if (!this.view || !byId("lanes").clientWidth) return;
    for (const [kind, lane] of this.lanes) this.drawLane(kind, lane);
    this.drawStates();
    this.drawOverview();
  }

  cells(x, width) {
    const { start_s: start, step_s: step } = this.view;
    const at = (pixel) => (this.from + (pixel / width) * (this.to - this.from) - start) / step;
    const first = Math.floor(at(x));
    return [Math.max(first, 0), Math.max(Math.ceil(at(x + 1)), first + 1)];
  }

  drawLane(kind, { canvas, word, blocks }) {
    const { pen, width, height, colour } = fitted(canvas);
    const x = (t) => ((t - this.from) / (this.to - this.from)) * width;
    const y = (value) => height - LOW - value * (height - 2 * LOW);
    hatch(pen, width, height, colour("--hatch"));
    const columns = this.columns(kind, width);
    pen.fillStyle = colour("--card");
    columns.forEach((column, at) => {
      if (column) pen.fillRect(at, 0, 1, height);
    });
    const alerts = this.view.alerts.filter((alert) => alert.kind === kind);
    for (const alert of alerts) {
      const end = alert.end ?? this.view.end_s;
      for (const [level, from, to] of [["warning", alert.start, alert.urgent ?? end], ["urgent", alert.urgent ?? end, end]]) {
        if (to <= this.from || from >= this.to || to <= from) continue;
        pen.fillStyle = colour(`--${level}-soft`);
        pen.fillRect(x(from), 0, Math.max(x(to) - x(from), 1), height);
      }
    }
    const threshold = get(this.thresholds, kind);
    if (typeof threshold === "number") {
      pen.strokeStyle = colour("--quiet");
      pen.setLineDash([6, 4]);
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(0, y(threshold));
      pen.lineTo(width, y(threshold));
      pen.stroke();
      pen.setLineDash([]);
    }
    pen.fillStyle = colour("--line");
    let last = null;
    columns.forEach((column, at) => {
      if (column) {
        const [low, high] = last ? [Math.min(column[0], last[1]), Math.max(column[1], last[0])] : column;
        pen.fillRect(at, y(high) - 1, 1.5, y(low) - y(high) + 2);
      }
      last = column;
    });
    for (const { start, urgent } of alerts) {
      if (start >= this.from && start <= this.to) triangle(pen, x(start), 1, 12, colour("--warning"), true);
      if (urgent !== null && urgent >= this.from && urgent <= this.to) {
        pen.fillStyle = colour("--urgent");
        pen.fillRect(x(urgent) - 5, 1, 10, 10);
      }
    }
    for (const t of get(this.chosen, kind) ?? []) {
      if (t >= this.from && t <= this.to) triangle(pen, x(t), height - 13, 12, colour("--text"), false);
    }
    put(word, capital(kindName(kind)));
    const about = say("lane_about", { kind: kindName(kind), alerts: alerts.length, marks: blocks.length });
    if (canvas.getAttribute("aria-label") !== about) canvas.setAttribute("aria-label", about);
    for (const block of blocks) {
      const mark = this.moved?.block === block ? this.moved.now : block.mark;
      this.place(block, mark.start, mark.end);
      block.toggleAttribute("data-outside", mark.start < this.view.start_s || mark.end > this.view.end_s);
      block.setAttribute("aria-label", told(mark));
    }
  }

  // for each pixel the least and the greatest of the signal, or null
  columns(kind, width, all = false) {
    const curve = get(this.curves, kind);
    return Array.from({ length: Math.ceil(width) }, (_, pixel) => {
      if (!curve) return null;
      let [first, end] = this.cells(pixel, width);
      if (all) [first, end] = [Math.floor((pixel / width) * curve.low.length), Math.max(Math.ceil(((pixel + 1) / width) * curve.low.length), 1)];
      let [low, high] = [UNKNOWN, -1];
      for (let cell = first; cell < Math.min(end, curve.low.length); cell += 1) {
        if (curve.low[cell] === UNKNOWN) continue;
        low = Math.min(low, curve.low[cell]);
        high = Math.max(high, curve.high[cell]);
      }
      return high < 0 ? null : [low / SCALE, high / SCALE];
    });
  }

  drawStates() {
    const canvas = byId("states");
    const { pen, width, height, colour } = fitted(canvas);
    canvas.setAttribute("aria-label", say("state_about"));
    const band = 12;
    hatch(pen, width, band, colour("--hatch"));
    const rank = this.view.states.map((name) => SERIOUS.indexOf(name));
    for (let pixel = 0; pixel < width; pixel += 1) {
      const [first, end] = this.cells(pixel, width);
      let worst = SERIOUS.length;
      for (let cell = first; cell < Math.min(end, this.state.length); cell += 1) {
        if (this.state[cell] !== UNKNOWN) worst = Math.min(worst, rank[this.state[cell]]);
      }
      const tone = { 0: "--urgent", 1: "--warning", [SERIOUS.length - 1]: "--calm-soft" }[worst];
      if (tone) {
        pen.fillStyle = colour(tone);
        pen.fillRect(pixel, 0, 1.5, band);
      }
    }
    pen.fillStyle = colour("--quiet");
    pen.font = "12px system-ui, sans-serif";
    const step = ticks(this.to - this.from, width / 90);
    for (let t = Math.ceil(this.from / step) * step; t <= this.to; t += step) {
      const at = ((t - this.from) / (this.to - this.from)) * width;
      pen.fillRect(at, band, 1, 5);
      const text = clock(t).replace(/\.0$/, "");
      pen.fillText(text, clamp(at - pen.measureText(text).width / 2, 0, width - pen.measureText(text).width), height - 3);
    }
  }

  drawOverview() {
    const canvas = byId("overview");
    const { pen, width, height, colour } = fitted(canvas);
    canvas.setAttribute("aria-label", say("overview"));
    const { start_s: start, end_s: end } = this.view;
    const x = (t) => ((t - start) / (end - start || 1)) * width;
    this.kinds.forEach((kind, number) => {
      pen.fillStyle = colour(`--kind-${number % KINDS}`);
      pen.globalAlpha = 0.7;
      this.columns(kind, width, true).forEach((column, at) => {
        if (column) pen.fillRect(at, height - 2 - column[1] * (height - 10), 1, 2);
      });
      pen.globalAlpha = 1;
      for (const mark of this.marks) if (mark.kind === kind) pen.fillRect(x(mark.start), 0, Math.max(x(mark.end) - x(mark.start), 2), 4);
    });
    pen.strokeStyle = colour("--act");
    pen.lineWidth = 2;
    pen.strokeRect(x(this.from) + 1, 1, Math.max(x(this.to) - x(this.from) - 2, 4), height - 2);
  }
}

function ticks(span, most) {
  return [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400].find((step) => span / step <= most) ?? 86400;
}

function triangle(pen, x, top, size, colour, filled) {
  pen.beginPath();
  pen.moveTo(x, top);
  pen.lineTo(x + size / 2, top + size - 1);
  pen.lineTo(x - size / 2, top + size - 1);
  pen.closePath();
  pen.fillStyle = pen.strokeStyle = colour;
  pen.lineWidth = 2;
  if (filled) pen.fill();
  else pen.stroke();
}
