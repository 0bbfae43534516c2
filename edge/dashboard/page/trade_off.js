// What one kind's thresholds come to: the trade-off with its sliders, and the figures of the point that is chosen.

import { byId, capital, kindName, language, list, made, number, percent, put, say } from "/page/base.js";
import { fitted, shapeOf } from "/page/timeline.js";

const HZ = 2; // digits of false alarms an hour

export class TradeOff {
  constructor(kind, place, told, changed) {
    this.kind = kind;
    this.told = told;
    this.changed = changed;
    this.at = told.chosen;
    this.box = made("section");
    this.name = made("span");
    const heading = made("h3");
    heading.append(shapeOf(place), this.name);
    this.canvas = made("canvas");
    this.canvas.setAttribute("role", "img");
    this.figures = made("dl");
    this.sliders = made("div");
    const buttons = made("div", "", "row");
    this.recommended = this.button("recommended", told.chosen);
    this.configured = this.button("as_configured", told.configured);
    buttons.append(this.recommended, this.configured);
    this.box.append(heading, this.canvas, this.sliders, this.figures, buttons);
    byId("kinds").append(this.box);
    this.axes = told.swept.map((name) => ({
      name,
      values: [...new Set(told.points.map((point) => point.settings[name]))].sort((a, b) => a - b),
    }));
    this.along = told.curve.length > 1 ? this.slider(`${kind}-along`, told.curve.length, (value) => told.curve[value]) : null;
    this.ranges = this.axes.map(({ name, values }, axis) =>
      this.slider(`${kind}-${name}`, values.length, (value) => this.nearest(axis, value)));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  button(word, place) {
    const button = made("button", "", "quiet");
    button.type = "button";
    button.dataset.word = word;
    button.hidden = place === null;
    button.addEventListener("click", () => this.choose(place));
    return button;
  }

  slider(id, count, pointAt) {
    const label = made("label");
    const [word, output] = [made("span"), made("output")];
    label.htmlFor = output.htmlFor = id;
    label.append(word, output);
    const input = made("input");
    Object.assign(input, { type: "range", id, min: 0, max: count - 1, step: 1 });
    input.disabled = count < 2;
    input.addEventListener("input", () => this.choose(pointAt(Number(input.value))));
    this.sliders.append(label, input);
    return { word, output, input };
  }

  // the point whose setting of this axis is that value, and whose others are as near as can be
  nearest(axis, value) {
    const now = this.point().settings;
    const wanted = this.axes[axis].values[value];
    const places = this.told.points.map((point, place) => [place, point.settings]);
    const fit = places.filter(([, settings]) => settings[this.axes[axis].name] === wanted);
    const away = ([, settings]) => this.axes.reduce((sum, { name, values }) =>
      sum + Math.abs(values.indexOf(settings[name]) - values.indexOf(now[name])), 0);
    return fit.sort((a, b) => away(a) - away(b))[0][0];
  }

  point() {
    return this.told.points[this.at];
  }

  choose(place) {
    this.at = place;
    this.draw();
    this.changed();
  }

  draw() {
    const point = this.point();
    put(this.name, capital(kindName(this.kind)));
    put(this.recommended, say("recommended"));
    put(this.configured, say("as_configured"));
    this.recommended.disabled = this.at === this.told.chosen;
    this.configured.disabled = this.at === this.told.configured;
    if (this.along) {
      put(this.along.word, say("along"));
      const on = this.told.curve.indexOf(this.at);
      if (on >= 0) this.along.input.value = on;
      put(this.along.output, on >= 0 ? `${on + 1} / ${this.told.curve.length}` : "–");
    } else if (!this.single) {
      this.single = made("p", "", "about");
      this.sliders.prepend(this.single);
    }
    if (this.single) put(this.single, say("one_point"));
    this.axes.forEach(({ name, values }, axis) => {
      const { word, output, input } = this.ranges[axis];
      put(word, say(name));
      const shown = point.settings[name].toLocaleString(language());
      put(output, shown);
      input.value = values.indexOf(point.settings[name]);
      input.setAttribute("aria-valuetext", shown);
    });
    const between = (value, [low, high], shown) => say("interval", { value, low: shown(low), high: shown(high) });
    const found = say("found_about", { found: number(point.found), episodes: number(point.episodes) });
    const rows = [
      [say("found"), point.episodes ? between(found, point.recall_interval, percent) : found],
      [say("delay"), point.delay_s === null ? say("no_delay") : number(point.delay_s, "s", 1)],
      [say("false_alarms"), between(number(point.false_per_hour, "", HZ), point.false_interval, (value) => number(value, "", HZ))],
    ];
    list(this.figures, rows);
    const figures = rows.map(([name, text]) => `${name}: ${text}`).join("; "); // point.figures are the command's, in English
    this.along?.input.setAttribute("aria-valuetext", figures);
    this.canvas.setAttribute("aria-label", say("trade_about", { kind: kindName(this.kind), figures }));
    this.plot();
  }

  plot() {
    if (!this.canvas.clientWidth) return;
    const { pen, width, height, colour } = fitted(this.canvas);
    const drawn = this.told.points.filter((point) => point.delay_s !== null);
    const [left, bottom, top, right] = [40, height - 30, 18, width - 14];
    const most = Math.max(1, ...drawn.map((point) => point.false_per_hour));
    const late = Math.max(1, ...drawn.map((point) => point.delay_s));
    const x = (point) => left + (point.delay_s / (late * 1.05)) * (right - left);
    const y = (point) => bottom - 4 - (point.false_per_hour / (most * 1.05)) * (bottom - 4 - top);
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = colour("--quiet");
    pen.strokeStyle = colour("--edge");
    pen.strokeRect(left, top, right - left, bottom - top);
    const write = (text, at, line, align) => {
      pen.textAlign = align;
      pen.fillText(text, at, line);
    };
    write(number(late, "", 1), right, bottom + 13, "right");
    write("0", left, bottom + 13, "center");
    write(say("axis_delay"), (left + right) / 2, height - 4, "center");
    write(number(most, "", most < 10 ? 1 : 0), left - 4, top + 9, "right");
    write("0", left - 4, bottom, "right");
    write(say("axis_false"), left, 12, "left");
    pen.globalAlpha = 0.55;
    for (const point of drawn) dot(pen, x(point), y(point), 2.5);
    pen.globalAlpha = 1;
    const curve = this.told.curve.map((place) => this.told.points[place]).filter((point) => point.delay_s !== null);
    pen.strokeStyle = pen.fillStyle = colour("--line");
    pen.lineWidth = 2;
    pen.beginPath();
    curve.forEach((point, number_) => (number_ ? pen.lineTo(x(point), y(point)) : pen.moveTo(x(point), y(point))));
    pen.stroke();
    for (const point of curve) dot(pen, x(point), y(point), 3.5);
    const best = this.told.points[this.told.chosen];
    pen.fillStyle = colour("--calm");
    if (best.delay_s !== null) diamond(pen, x(best), y(best), 8);
    const now = this.point();
    if (now.delay_s === null) return;
    pen.strokeStyle = colour("--text");
    pen.beginPath();
    pen.arc(x(now), y(now), 10, 0, 2 * Math.PI);
    pen.stroke();
  }
}

function dot(pen, x, y, size) {
  pen.beginPath();
  pen.arc(x, y, size, 0, 2 * Math.PI);
  pen.fill();
}

function diamond(pen, x, y, size) {
  pen.beginPath();
  pen.moveTo(x, y - size);
  pen.lineTo(x + size, y);
  pen.lineTo(x, y + size);
  pen.lineTo(x - size, y);
  pen.fill();
}
