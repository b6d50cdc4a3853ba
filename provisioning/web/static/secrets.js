// The token, the URL and the admin password: each is fetched when it is to be shown or copied, not before.
import { call, toast } from "./api.js";

const MASK = "••••••••••••";

async function secret(name) {
  const { data } = await call("GET", "/account/provisioning");
  return name.split(".").reduce((part, field) => part?.[field], data) ?? MASK; // what was staged may be no more
}

document.addEventListener("click", async (event) => {
  const reveal = event.target.closest("[data-reveal]");
  const copied = event.target.closest("[data-copy]");
  const text = event.target.closest("[data-copy-text]");
  const shown = event.target.closest("[data-copy-of]");
  try {
    if (reveal) await show(reveal);
    if (copied) await copy(await secret(copied.dataset.copy), copied);
    if (text) await copy(text.dataset.copyText, text);
    if (shown) await copy(document.getElementById(shown.dataset.copyOf).textContent, shown);
  } catch (problem) {
    toast(problem.message);
  }
});

async function show(button) {
  const place = document.getElementById(button.dataset.reveal);
  const shown = button.getAttribute("aria-pressed") === "true";
  place.textContent = shown ? MASK : await secret(button.dataset.reveal);
  button.setAttribute("aria-pressed", String(!shown));
  button.querySelector("span").textContent = shown ? "Reveal" : "Hide";
}

async function copy(text, button) {
  await put(text);
  toast("Copied");
  button.classList.add("done");
  setTimeout(() => button.classList.remove("done"), 2000);
}

// Browsers have navigator.clipboard on https and localhost alone; elsewhere a selection can be copied.
async function put(text) {
  if (navigator.clipboard) {
    try {
      return await navigator.clipboard.writeText(text);
    } catch {
      // Refused, for want of permission say: the other way may still be open.
    }
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "hidden";
  area.setAttribute("aria-hidden", "true");
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  const focused = document.activeElement;
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focused?.focus();
  if (!done) throw new Error("The browser did not let us copy. Reveal the value and copy it by hand.");
  return undefined;
}
