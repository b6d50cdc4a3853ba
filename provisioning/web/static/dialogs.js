// Dialogs and buttons that call the API: what they send is said in their markup.
import { call, made, toast, toastNext } from "./api.js";
import { clear, collect, show } from "./forms.js";
import { refresh } from "./parts.js";

// Asks in the page's own dialog; the button that changes nothing has the focus.
export function sure(title, text, yes) {
  const dialog = made("confirm");
  dialog.querySelector("#confirm-title").textContent = title;
  dialog.querySelector("#confirm-text").textContent = text;
  dialog.querySelector("#confirm-yes").textContent = yes;
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes")));
}

function split(sending) {
  const [method, path] = sending.split(" ");
  return { method, path };
}

async function after(element, data) {
  if (element.dataset.shows) await showOnce(element.dataset.shown, data[element.dataset.shows]);
  const then = element.dataset.then ?? "";
  if (element.dataset.done) (then.startsWith("/") ? toastNext : toast)(element.dataset.done);
  if (then.startsWith("/")) location.assign(then.replace("{id}", data?.id ?? ""));
  else await refresh(then);
}

// What was made, until the user has taken it. `words` are a title and, after a colon, a sentence.
function showOnce(words, text) {
  const dialog = made("shown");
  const [title, more] = words.split(/: (.*)/);
  dialog.querySelector("#shown-title").textContent = title;
  dialog.querySelector("#shown-words").textContent = `${more[0].toUpperCase()}${more.slice(1)}`;
  dialog.querySelector("#shown-text").textContent = text;
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
}

// [data-call="DELETE /things/id"], with data-confirm for what cannot be undone
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-call]");
  if (!button || button.getAttribute("aria-disabled")) return;
  if (button.dataset.confirm && !(await sure(button.dataset.confirm, button.dataset.text ?? "", button.dataset.yes ?? "Remove"))) return;
  button.setAttribute("aria-disabled", "true"); // a second click does nothing; focus stays
  const { method, path } = split(button.dataset.call);
  try {
    const body = button.dataset.body ? JSON.parse(button.dataset.body) : undefined;
    const { data } = await call(method, path, body, button.dataset.etag);
    await after(button, data);
  } catch (problem) {
    toast(problem.message);
    if ([404, 409, 412].includes(problem.status)) await refresh(); // so that the next press is about what is there now
  }
  button.removeAttribute("aria-disabled");
});

const first = new WeakMap();

// [data-open="id"] opens a dialog. data-fill gives the form's values, data-send and data-etag where they go.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-open]");
  const closer = event.target.closest("[data-close]");
  if (closer) closer.closest("dialog").close();
  if (!opener) return;
  openDialog(opener);
});

const openers = new WeakMap();

function openDialog(opener) {
  const dialog = document.getElementById(opener.dataset.open);
  const form = dialog.querySelector("form");
  form.reset();
  clear(form);
  if (opener.dataset.fill) fill(form, JSON.parse(opener.dataset.fill));
  // What the opener does not say is as the form's markup says, whatever another opener said before.
  if (!first.has(form)) first.set(form, { ...form.dataset });
  for (const name of ["send", "etag", "done", "then"]) {
    const said = opener.dataset[name] ?? first.get(form)[name];
    if (said === undefined) delete form.dataset[name];
    else form.dataset[name] = said;
  }
  if (opener.dataset.title) dialog.querySelector("h2").textContent = opener.dataset.title;
  openers.set(dialog, opener);
  dialog.showModal();
  opened(dialog);
}

// For what depends on the values with which a dialog stands there.
function opened(dialog) {
  dialog?.dispatchEvent(new CustomEvent("opened", { bubbles: true }));
}

// Somebody else was faster: the page is shown as it is now, and what was typed stays, for the next Save.
async function overtaken(form) {
  const typed = [...form.elements].filter((control) => control.id && control.matches("input:not([type=file]), select, textarea"));
  const dialog = form.closest("dialog");
  const opener = openers.get(dialog);
  if (!(await refresh())) return;
  if (opener) {
    const alike = [...document.querySelectorAll(`[data-open="${opener.dataset.open}"]`)].filter((one) => one.dataset.title === opener.dataset.title);
    const again = alike.find((one) => one.id === opener.id) ?? alike[0];
    if (!again) return void toast("What you changed is no longer there: somebody else removed it.");
    dialog.close();
    openDialog(again);
  }
  for (const control of typed) {
    const now = document.getElementById(control.id);
    if (now?.type === "checkbox") now.checked = control.checked;
    else if (now) now.value = control.value;
  }
  const now = document.getElementById(typed[0].id).form;
  opened(now.closest("dialog"));
  show(now, [], "Somebody else has changed this meanwhile. What you typed is still here: save again to put it in force.");
}

function fill(form, values) {
  for (const control of form.elements) {
    if (!control.name) continue;
    const found = control.name.split(".").reduce((part, name) => part?.[name], values);
    if (control.type === "checkbox") control.checked = control.defaultChecked = Boolean(found);
    else control.value = control.defaultValue = Array.isArray(found) ? found.join("\n") : (found ?? "");
    if (control.selectedIndex === -1) control.selectedIndex = 0; // a choice that there is no more
  }
}

// What cannot be undone is not done by an Enter in one of its fields.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("form[data-deliberate] input")) event.preventDefault();
});

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-send]");
  if (!form) return;
  event.preventDefault();
  if (form.hasAttribute("aria-busy")) return;
  form.setAttribute("aria-busy", "true");
  clear(form);
  const { method, path } = split(form.dataset.send);
  try {
    const body = form.enctype === "multipart/form-data" ? new FormData(form) : collect(form.elements);
    const { data } = await call(method, path, body, form.dataset.etag);
    form.closest("dialog")?.close();
    for (const control of form.elements) control.defaultValue = control.value;
    await after(form, data);
  } catch (problem) {
    await refused(form, problem, show);
  }
  form.removeAttribute("aria-busy");
});

export async function refused(form, problem, tell) {
  if (problem.status === 412) return overtaken(form);
  const rest = tell(form, problem.errors ?? [], problem.message);
  if (rest) toast(rest);
}
