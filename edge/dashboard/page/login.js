import { begin, byId, PATHS, put, say, send } from "/page/base.js";

const told = new URLSearchParams(location.search);
const to = told.get("to") ?? "/";

await begin("login");
if (told.has("ended")) put(byId("told"), say("session_over"));
byId("password").focus();
byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  put(byId("told"), "…");
  try {
    const { status, told: answer } = await send("/login", { password: byId("password").value });
    if (status === 200) location.href = PATHS.includes(to.split("?")[0]) ? to : "/"; // to no other server
    else if (status === 401) put(byId("told"), say("wrong_password"));
    else put(byId("told"), status === 429 ? say("too_often") : say("refused", { why: answer.error }));
  } catch {
    put(byId("told"), say("no_server"));
  }
});
