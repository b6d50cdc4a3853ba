// A tab or a filter replaces one part of the page; the address goes with it, so it can be shared.
import { logInAgain, toast } from "./api.js";
import { unsaved, unsavedTexts } from "./controls.js";

const panel = () => document.getElementById("panel") ?? document.getElementById("main");
const opened = () => panel().querySelector("dialog[open]");
let here = location.href;
let latest = 0;

// While something is pressed it stays where it is, or the press would go into what takes its place. A menu of the
// browser's own, of a list say, may keep the end of the press for itself.
const PRESS = 1000; // milliseconds
let released = null;
document.addEventListener("pointerdown", () => {
  released = new Promise((resolve) => {
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => setTimeout(resolve), { once: true, capture: true });
    setTimeout(resolve, PRESS);
  });
}, true);

// Loads the part that the address names. True when it is shown; false when a newer one overtook it. What was
// focused stays so, the caret too, when it is there again; `focus` names something else. `keep` is whether what was
// typed and not saved stays. A dialog that was opened meanwhile is not taken away: it is waited for.
export async function load(url, { focus, keep } = {}) {
  const turn = ++latest;
  const before = opened();
  panel().setAttribute("aria-busy", "true");
  try {
    const response = await fetch(url, { headers: { "X-Part": "panel" } });
    if (response.redirected && new URL(response.url).pathname === "/login") {
      if (await logInAgain()) return load(url, { focus, keep });
      throw new Error("You are logged out.");
    }
    const text = await response.text();
    await released;
    if (turn !== latest) return false;
    if (opened() && opened() !== before) {
      panel().removeAttribute("aria-busy");
      await new Promise((resolve) => opened().addEventListener("close", resolve, { once: true }));
      return turn === latest && load(url, { keep });
    }
    if (!response.ok) throw new Error(`The server answered ${response.status}.`);
    const whole = new DOMParser().parseFromString(text, "text/html");
    show(whole.getElementById("main") ?? whole.body, focus, keep);
    if (whole.title) document.title = whole.title;
    here = url;
    return true;
  } catch (problem) {
    if (turn === latest) toast(problem instanceof TypeError ? "The server could not be reached." : problem.message);
    return false;
  } finally {
    if (turn === latest) panel().removeAttribute("aria-busy");
  }
}

function show(part, focus, keep) {
  const was = panel().contains(document.activeElement) ? document.activeElement : null;
  const caret = was?.matches("input:is([type=text], [type=search], :not([type])), textarea") ? [was.selectionStart, was.selectionEnd] : null;
  const open = [...panel().querySelectorAll("details[open]")].map(path);
  const typed = (keep ? unsavedTexts() : []).filter((control) => control.id && panel().contains(control)).map((control) => [control.id, control.value]);
  panel().replaceChildren(...part.childNodes);
  retype(typed);
  document.dispatchEvent(new Event("shown"));
  for (const details of panel().querySelectorAll("details:not(.picker)")) if (path(details) && open.includes(path(details))) details.open = true;
  const target = document.getElementById(focus || was?.id || "");
  if (target) {
    if (target.matches("h2:not([tabindex])")) target.tabIndex = -1;
    target.focus();
    if (caret && target.id === was?.id) target.setSelectionRange(...caret);
  } else if (was || focus) {
    panel().focus();
    if (panel().getBoundingClientRect().top < 0) panel().scrollIntoView();
  }
}

const path = (details) => details.id || (details.querySelector("summary")?.firstElementChild?.textContent ?? "");

// The page again, as it is now on the server, with what was typed and not saved.
export const refresh = (focus) => load(location.href, { focus, keep: true });

function retype(typed) {
  for (const [id, text] of typed) {
    const control = document.getElementById(id);
    if (!control) continue;
    control.value = text;
    control.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

export async function go(url, { replace = false, focus } = {}) {
  if (unsaved() && !confirm("What you changed is not saved. Leave without saving?")) return false;
  if (!(await load(url, { focus }))) return false;
  history[replace ? "replaceState" : "pushState"](null, "", url);
  select();
  return true;
}

function select() {
  const tab = new URL(location.href).searchParams.get("tab");
  const tabs = [...document.querySelectorAll("[role=tab]")];
  if (!tabs.length) return;
  const current = tabs.find((link) => link.id === `tab-${tab}`) ?? tabs[0];
  for (const link of tabs) {
    link.setAttribute("aria-selected", String(link === current));
    link.tabIndex = link === current ? 0 : -1;
  }
  panel().setAttribute("aria-labelledby", current.id);
  document.title = [current.textContent.trim(), ...document.title.split(" · ").slice(1)].join(" · ");
}
select();

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[role=tab], a[data-part]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(link.href, { focus: link.matches("[role=tab]") ? undefined : panel().id });
});

document.addEventListener("keydown", (event) => {
  const tab = event.target.closest?.("[role=tab]");
  if (!tab) return;
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const at = tabs.indexOf(tab);
  const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  const target = tabs[(next + tabs.length) % tabs.length];
  target.focus();
  go(target.href);
});

addEventListener("popstate", async () => {
  const wanted = location.href;
  if (unsaved() && !confirm("What you changed is not saved. Leave without saving?")) {
    history.pushState(null, "", here);
    return;
  }
  if (await load(wanted)) select();
  else history.replaceState(null, "", here); // what is shown is still the page of before
});
