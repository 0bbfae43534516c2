import { begin, byId, put, say, send } from "/page/base.js";

await begin("login");
byId("password").focus();
byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  put(byId("told"), "…");
  try {
    const { status } = await send("/login", { password: byId("password").value });
    if (status === 200) location.href = "/";
    else put(byId("told"), say(status === 429 ? "too_often" : "wrong_password"));
  } catch {
    put(byId("told"), say("no_server"));
  }
});
