import { Device, begin, byId, drawState, items, list, made, number, put, say, watch } from "/page/base.js";

const device = new Device();
const STAGES = 40;

const yesNo = (value) => (value === null || value === undefined ? say("not_known") : say(value ? "yes" : "no"));
const entries = (table) => Object.entries(table ?? {}).slice(0, STAGES);

function drawStages(stages) {
  const body = byId("stages");
  const rows = entries(stages);
  while (body.children.length > rows.length) body.lastChild.remove();
  while (body.children.length < rows.length) {
    const row = made("tr");
    const name = made("th");
    name.scope = "row";
    row.append(name, made("td"), made("td"));
    body.append(row);
  }
  rows.forEach(([name, times], at) => {
    const [first, p50, p95] = body.children[at].children;
    put(first, name);
    put(p50, number(times.p50_ms, "ms", 1));
    put(p95, number(times.p95_ms, "ms", 1));
  });
}

// Of a device that is not heard, problems and versions stay as what was known last; no figure of it holds now.
function draw() {
  const word = drawState(device);
  const last = device.newest.health;
  const speaks = word !== "unknown" || device.speaks();
  const health = speaks ? last : undefined;
  const told = (last?.problems ?? []).map((each) => (speaks ? each : `${say("last_known")}: ${each}`));
  const problems = [...(device.link.problem ? [device.link.problem] : []), ...told];
  items(byId("problems"), problems.length ? problems : [say(health ? "no_problems" : "unknown")]);
  put(byId("age"), last ? say("as_of", { seconds: Math.max(0, Math.round(device.now() - last.t)) }) : "");
  list(byId("rates"), [
    [say("fps"), number(health?.fps, "", 1)],
    [say("fps_limit"), number(health?.fps_limit, "", 1)],
    [say("camera_age"), number(health?.camera_age_s, "s", 2)],
    [say("dropped"), number(health?.dropped_frames)],
    [say("bad"), number(health?.bad_frames)],
  ]);
  list(byId("board"), [
    [say("temperature"), number(health?.temperature_c, "°C")],
    [say("throttled"), yesNo(health?.throttled)],
    [say("memory"), number(health?.memory_mb, "MB")],
  ]);
  const box = health?.outbox;
  list(byId("outbox"), [
    [say("depth"), number(box?.depth)],
    [say("kept"), number(box?.history)],
    [say("given_up"), number(box?.dropped)],
    [say("lost"), number(box?.lost)],
    [say("set_aside"), number(box?.set_aside)],
    ...(box?.problem ? [[say("problem"), box.problem]] : []),
  ]);
  drawStages(health?.stages);
  list(byId("sinks"), entries(health?.sinks).map(([name, sink]) => [name, sink.problem ?? say("fine")]));
  const sources = entries(health?.vehicle).map(([name, source]) => [name, source.problem ?? say("fine")]);
  list(byId("vehicle"), sources.length ? sources : [[say("speed"), say("not_known")]]);
  list(byId("versions"), entries(last?.versions).map(([name, version]) => [name, version ?? say("not_known")]));
}

await begin("health");
watch(device, false, draw);
