import { begin, byId, put, say, send } from "/page/base.js";

await begin("login");
byId("password").focus();
byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  put(byId("told"), "…");
  try {
    const { status, told } = await send("/login", { password: byId("password").value });
    if (status === 200) location.href = "/";
    else if (status === 401) put(byId("told"), say("wrong_password"));
    else put(byId("told"), status === 429 ? say("too_often") : say("refused", { why: told.error }));
  } catch {
    put(byId("told"), say("no_server"));
  }
});
