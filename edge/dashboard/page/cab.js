// The driver's page: one thing at a time, large and calm; dark by night.

import { Device, begin, byId, capital, command, drawShape, isOperator, kindName, put, say, watch } from "/page/base.js";

const NIGHT = { from: 19, to: 7 };
const device = new Device();

function isNight() {
  const hour = new Date().getHours();
  return hour >= NIGHT.from || hour < NIGHT.to;
}

function draw() {
  document.documentElement.dataset.theme = isNight() ? "dark" : "";
  const { word, why, known } = device.overall();
  const levels = Object.entries(known ? device.levels() : {}).filter(([, level]) => level);
  const first = levels.find(([, level]) => level === "urgent") ?? levels[0];
  byId("state").dataset.state = word;
  drawShape(byId("shape"), word);
  if (first) {
    put(byId("word"), say(device.wakes.includes(first[0]) ? "tell_wake" : "tell_look"));
    put(byId("why"), capital(kindName(first[0])));
  } else if (word === "calm") {
    put(byId("word"), say("all_well"));
    put(byId("why"), say("watching_well"));
  } else {
    put(byId("word"), say(word));
    put(byId("why"), known && word !== "uncertain" ? say("not_watching") : why);
  }
  const button = byId("acknowledge");
  const wanted = Boolean(first) && device.waiting() && isOperator();
  if (button.hidden === wanted) {
    button.hidden = !wanted;
    put(byId("told"), "");
  }
  const name = byId("device");
  if (name) put(name, device.name);
}

await begin("cab");
byId("acknowledge").addEventListener("click", () => command("acknowledge", {}, byId("told")));
watch(device, true, draw);
