// Phones: a CSV file is imported, a key is overridden, the files are shown with their secrets, and those that hold
// the newest are counted.
import { call, toast } from "./api.js";
import { refused } from "./dialogs.js";
import { clear, show } from "./forms.js";
import { keyOf, showFaults, suit } from "./key_fields.js";
import { refresh } from "./parts.js";

// ---- import

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-import]");
  if (!form) return;
  event.preventDefault();
  if (form.hasAttribute("aria-busy")) return;
  const file = form.elements.file.files[0];
  if (!file) return void show(form, [{ field: "file", message: "Choose a CSV file." }]);
  form.setAttribute("aria-busy", "true");
  faults(form, "", []);
  try {
    const { data } = await call("POST", "/devices/import", new Blob([file], { type: "text/csv" }));
    form.closest("dialog").close();
    toast(`${data.created} phones added, ${data.updated} updated.`);
    await refresh("import-open");
  } catch (problem) {
    const found = problem.errors ?? [];
    faults(form, found.length ? "Nothing was imported:" : `Nothing was imported. ${problem.message}`, found);
  }
  form.removeAttribute("aria-busy");
});

function faults(form, words, found) {
  clear(form);
  form.querySelector('[data-problem=""]').textContent = words;
  const lines = found.map(({ field, message }) => {
    const line = document.createElement("li");
    line.textContent = field ? `${field}: ${message}` : message;
    return line;
  });
  form.querySelector("[data-faults]").replaceChildren(...lines);
}

document.addEventListener("opened", (event) => {
  const form = event.target.querySelector("form[data-import]");
  if (form) faults(form, "", []);
});

// ---- the model's vendor goes with it; a vendor that is guessed stays so

document.addEventListener("change", (event) => {
  if (!event.target.matches("dialog select[name=model]")) return;
  const vendor = event.target.form.elements.vendor;
  const group = event.target.selectedOptions[0]?.parentElement;
  if (vendor.value && group?.dataset.vendor) vendor.value = group.dataset.vendor;
});

// ---- override a key

document.addEventListener("opened", (event) => {
  const form = event.target.querySelector("form[data-overrides]");
  if (form) suit(form);
});

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-overrides]");
  if (!form) return;
  event.preventDefault();
  if (form.hasAttribute("aria-busy")) return;
  form.setAttribute("aria-busy", "true");
  clear(form);
  const { was, ...button } = keyOf(form);
  const replaced = [was, `${button.module}.${button.position}`];
  const kept = JSON.parse(form.dataset.overrides).filter((each) => !replaced.includes(`${each.module}.${each.position}`));
  try {
    await call("PATCH", form.dataset.resource, { button_overrides: [...kept, button] }, form.dataset.etag);
    form.closest("dialog").close();
    for (const control of form.elements) control.defaultValue = control.value;
    toast("The key is set. The phone has it after its next fetch.");
    await refresh("keys-title");
  } catch (problem) {
    await refused(form, problem, () => showFaults(form, problem));
  }
  form.removeAttribute("aria-busy");
});

// ---- how many hold the newest files: the server counts for a second at a time

async function count() {
  const place = document.querySelector("[data-current-count]");
  let data;
  do {
    if (!place?.isConnected) return;
    try {
      ({ data } = await call("GET", "/devices/current-count"));
    } catch {
      return; // the list says it of each phone
    }
    const so = data.counted < data.total ? ` so far; ${data.counted} are looked at` : "";
    place.textContent = data.total ? `${data.current} of ${data.total} phones hold the newest files${so}.` : "";
  } while (data.counted < data.total);
}

document.addEventListener("shown", count);
count();

// ---- the files with their secrets, for as long as the page is there

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-files]");
  if (!button) return;
  const shown = button.getAttribute("aria-pressed") === "true";
  try {
    const { data } = await call("GET", `${button.dataset.files}${shown ? "" : "?reveal=true"}`);
    for (const file of data.data) {
      const place = [...document.querySelectorAll("[data-file]")].find((each) => each.dataset.file === file.name);
      if (place) place.textContent = file.content;
    }
    button.setAttribute("aria-pressed", String(!shown));
    button.querySelector("span").textContent = shown ? "Reveal secrets" : "Hide secrets";
  } catch (problem) {
    toast(problem.message);
  }
});
