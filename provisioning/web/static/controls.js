// Toggles and dropdowns save themselves; forms of texts show Save and Cancel while something differs.
import { call, toast } from "./api.js";
import { clear, collect, isDirty, show, value } from "./forms.js";
import { refresh } from "./parts.js";

// ---- what saves itself: [data-auto="/resource"]

const queues = new WeakMap();

document.addEventListener("change", (event) => {
  const control = event.target.closest("[data-auto]");
  if (!control) return;
  // Two quick changes of one control are saved in their order.
  queues.set(control, (queues.get(control) ?? Promise.resolve()).then(() => autosave(control)));
});

async function autosave(control) {
  const place = control.closest(".field");
  const state = place.querySelector(".state");
  const chosen = control.type === "checkbox" ? control.checked : control.value;
  const saved = { id: control.id, name: control.name, label: control.labels[0]?.textContent, former: former(control), resource: control.dataset.auto };
  say(state, "Saving…");
  clear(place);
  control.setAttribute("aria-busy", "true");
  try {
    const { etag } = await call("PATCH", control.dataset.auto, { [control.name]: value(control) });
    keep(control, chosen);
    say(state, "Saved", "good");
    if (control.hasAttribute("data-refresh")) await refreshed(control.id);
    document.dispatchEvent(new CustomEvent("autosaved", { detail: { ...saved, etag } }));
  } catch (problem) {
    restore(control);
    say(state, "");
    const words = notSaved(problem, problem.errors?.[0]?.message);
    if (control.isConnected) show(place, [{ field: control.name, message: words }]);
    else toast(`${control.labels?.[0]?.textContent ?? control.name}: ${words}`); // its tab is gone
  }
  control.removeAttribute("aria-busy");
}

// What else the page says may follow from the control.
async function refreshed(id) {
  await refresh(id);
  const control = document.getElementById(id);
  const own = control?.closest(".field").querySelector(".state");
  if (own) say(own, "Saved", "good");
  else if (control && !texts(control.form).some(isDirty)) say(control.form.querySelector(":scope > output.state"), "Saved", "good");
}

// Of an answer that was lost nobody can tell what it was.
function notSaved(problem, why = problem.message) {
  return problem.status === 0 ? problem.message : `Not saved. ${why}`;
}

// The state that is stored is kept where HTML keeps what a reset goes back to.
function keep(control, chosen) {
  if (control.type === "checkbox") control.defaultChecked = chosen;
  else for (const option of control.options) option.defaultSelected = option.value === chosen;
}

// What is stored, as the API takes it: a copy is as the page came.
function former(control) {
  return control.type === "checkbox" ? control.defaultChecked : value(control.cloneNode(true));
}

function restore(control) {
  if (control.type === "checkbox") control.checked = control.defaultChecked;
  else control.value = [...control.options].find((option) => option.defaultSelected)?.value ?? "";
}

function say(state, text, kind = "") {
  if (!state) return;
  state.textContent = text;
  state.className = `state ${kind}`;
}

// ---- texts: form[data-form="/resource"]

export function texts(form) {
  return [...form.elements].filter((control) => control.name && control.matches("input:not([type=checkbox], [type=file]), textarea") && !control.dataset.auto);
}

function update(form) {
  const dirty = texts(form).some(isDirty);
  form.querySelector("[data-actions]").hidden = !dirty;
  return dirty;
}

document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-form]");
  if (!form || event.target.dataset.auto) return;
  update(form);
  say(form.querySelector(":scope > output.state"), "");
});

document.addEventListener("reset", (event) => {
  const form = event.target.closest("form[data-form]");
  if (!form) return;
  event.preventDefault(); // it would reset what saves itself, too
  const changed = texts(form).filter(isDirty);
  for (const control of changed) control.value = control.defaultValue;
  clear(form);
  changed[0]?.focus(); // the button that was pressed goes
  update(form);
});

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-form]");
  if (!form) return;
  event.preventDefault();
  if (!texts(form).some(isDirty)) return;
  if (form.hasAttribute("aria-busy")) {
    form.dataset.again = ""; // more may have been typed since, while the page is refreshed too
    return;
  }
  form.setAttribute("aria-busy", "true");
  const [first] = texts(form).filter(isDirty);
  if (document.activeElement?.closest("[data-actions]")) first.focus(); // the button that was pressed goes
  const saved = await save(form);
  form.removeAttribute("aria-busy");
  if (saved && "again" in form.dataset) same(form).find((other) => texts(other).some(isDirty))?.requestSubmit();
  delete form.dataset.again;
});

// The forms of its resource, as the page is now.
const same = (form) => [...document.querySelectorAll("form[data-form]")].filter((other) => other.dataset.form === form.dataset.form);

// True when all that was there has been stored.
async function save(form) {
  const state = form.querySelector(":scope > output.state");
  const changed = texts(form).filter(isDirty);
  const sent = changed.map((control) => [control, control.value]);
  let saved = false;
  clear(form);
  say(state, "Saving…");
  try {
    const { data, etag } = await call("PATCH", form.dataset.form, collect(changed), form.dataset.etag);
    form.dataset.etag = etag;
    for (const [control, text] of sent) {
      const typedOn = control.value !== text;
      control.defaultValue = stored(control, data);
      if (!typedOn) control.value = control.defaultValue;
    }
    saved = true;
    say(state, "Saved", "good");
    update(form); // before the page is refreshed, which takes a moment
    form.dispatchEvent(new CustomEvent("saved", { bubbles: true, detail: data }));
    if (form.hasAttribute("data-refresh")) await refreshed(changed[0].id);
  } catch (problem) {
    say(state, "");
    if (problem.status === 412) await merge(form, changed, state);
    else say(state, show(form, problem.errors ?? [], problem.errors?.length ? "" : notSaved(problem)), "bad");
  }
  update(form);
  return saved;
}

function stored(control, data) {
  const found = data[control.name];
  return Array.isArray(found) ? found.join(control.dataset.kind === "lines" ? "\n" : " ") : found === null || found === undefined ? "" : String(found);
}

// Somebody else was faster. What they changed elsewhere is taken over; where both changed one field, the
// user sees the other's value and decides.
async function merge(form, changed, state) {
  try {
    const { data, etag } = await call("GET", form.dataset.form);
    const clashes = [];
    for (const control of texts(form)) {
      const theirs = stored(control, data);
      if (theirs === control.defaultValue) continue;
      control.defaultValue = theirs;
      if (!changed.includes(control)) control.value = theirs;
      else if (control.value !== theirs) clashes.push({ field: control.name, message: `Somebody else has changed this to “${theirs}” meanwhile. Save again to replace it, or Cancel to keep it.` });
    }
    form.dataset.etag = etag;
    if (clashes.length) show(form, clashes);
    else if (texts(form).some(isDirty)) await save(form);
    else if (form.hasAttribute("data-refresh")) await refresh();
    else say(state, "Saved", "good");
  } catch (problem) {
    say(state, notSaved(problem), "bad");
  }
}

document.addEventListener("saved", ({ target, detail }) => {
  if (target.dataset.form !== "/account") return;
  document.querySelector(".account strong").textContent = detail.name;
  document.title = [...document.title.split(" · ").slice(0, -1), detail.name].join(" · ");
});

// ---- leaving with something unsaved

// What was typed into forms that can be seen and not sent yet.
export function unsavedTexts() {
  const seen = [...document.forms].filter((form) => !form.matches("[data-filters], [method=get]") && form.closest("dialog")?.open !== false);
  return seen.flatMap((form) => texts(form).filter(isDirty));
}

export const unsaved = () => unsavedTexts().length > 0;

addEventListener("beforeunload", (event) => {
  if (unsaved()) event.preventDefault();
});
