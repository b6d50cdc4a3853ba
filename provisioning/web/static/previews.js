// Which phones would get other files: before a change is saved, and after what saves itself, with Undo.
import { call, made, toast } from "./api.js";
import { texts } from "./controls.js";
import { collect, isDirty, value } from "./forms.js";
import { refresh } from "./parts.js";

// The change as the API calls it, of what a PATCH of the resource would send; null where no file can change.
export function changeOf(resource, values) {
  const [, kind, id, more] = resource.split("/");
  if (resource === "/account") return { account: values };
  if (resource === "/account/telephony") return { telephony: values };
  if (resource === "/account/device-options") return { device_options: values };
  if (kind === "button-templates") return { button_template: { id, ...values } };
  if (kind === "devices") return { [more ? "own_options" : "device"]: { id, ...values } };
  return null;
}

const phones = (count) => `${count} phone${count === 1 ? "" : "s"}`;

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, each] of Object.entries(attributes)) made.setAttribute(key, each);
  return made;
}

// ---- the dialog

// `words` are { title, done, choices, save }: `done` when the change is made already; `choices` give other changes
// to look at, by their names; `save` makes the one that is looked at.
export function preview(change, { title, done = false, choices = null, save = null }) {
  const dialog = made("preview");
  const found = dialog.querySelector("#preview-found");
  const saves = dialog.querySelector("#preview-save");
  let turn = 0;
  dialog.querySelector("#preview-title").textContent = title;
  async function look(wanted) {
    const mine = ++turn;
    found.replaceChildren(element("p", "Looking at all phones…", { class: "quiet" }));
    try {
      const { data } = await call("POST", "/previews", wanted);
      if (mine !== turn) return;
      found.replaceChildren(...told(data, done));
      saves.hidden = !save || Boolean(data.refused);
    } catch (problem) {
      if (mine === turn) found.replaceChildren(element("p", problem.message, { class: "problem" }));
      saves.hidden = true;
    }
  }
  const choice = dialog.querySelector("#preview-value");
  if (choices) {
    dialog.querySelector("#preview-choice").hidden = false;
    dialog.querySelector("#preview-choice label").textContent = "With";
    choice.append(...choices.map(({ text }, at) => element("option", text, { value: at })));
    choice.addEventListener("change", () => look(choices[choice.value].change));
  }
  saves.addEventListener("click", () => {
    dialog.close();
    save(choices?.[choice.value]);
  });
  dialog.showModal();
  look(choices ? choices[0].change : change);
}

function told(data, done) {
  const would = done ? "get" : "would get";
  const parts = [];
  if (data.refused) parts.push(element("p", `This cannot be saved: ${data.refused}.`, { class: "warning" }));
  for (const failure of data.failures) {
    const when = failure.already ? "cannot be made, now either" : done ? "cannot be made any more" : "could not be made any more";
    parts.push(element("p", `The files of ${phones(failure.count)} ${when}: ${failure.reason}.`, { class: "warning" }), named(failure));
  }
  const whole = data.changed ? `${data.changed} of ${phones(data.total)} ${would} other files${data.groups.length > 1 ? ", in these ways" : ""}.` : `No phone ${done ? "gets" : "would get"} other files.`;
  parts.push(element("p", whole));
  data.groups.forEach((group, at) => parts.push(grouped(group, at === 0)));
  if (data.more_groups) parts.push(element("p", `And in ${data.more_groups} more ways.`, { class: "quiet" }));
  return parts;
}

function grouped(group, open) {
  const details = element("details", "", { class: "file" });
  details.open = open;
  details.append(element("summary", phones(group.count)), named(group));
  for (const file of group.files) {
    const text = element("pre", "", { tabindex: 0, role: "region", "aria-label": file.name });
    for (const line of file.diff.split("\n")) text.append(element({ "+": "ins", "-": "del" }[line[0]] ?? "span", line), "\n");
    if (file.cut) text.append("… and more");
    details.append(element("p", file.name, { class: "name" }), text);
  }
  return details;
}

function named({ phones: shown, count }) {
  const line = element("p", "", { class: "quiet" });
  shown.forEach((phone, at) => line.append(at ? ", " : "", element("a", phone.name || phone.mac, { href: `/devices/${phone.id}` })));
  if (count > shown.length) line.append(` and ${count - shown.length} more`);
  return line;
}

// ---- [data-preview]: the id of a list that saves itself, or nothing for the texts of the form around it

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-preview]");
  if (!button) return;
  const list = document.getElementById(button.dataset.preview);
  if (list) previewList(list);
  else previewTexts(button.closest("form"));
});

function previewList(list) {
  const copy = list.cloneNode(true);
  const others = [...list.options].filter((option) => !option.selected);
  const choices = others.map((option) => {
    copy.value = option.value;
    return { text: option.textContent.trim(), option: option.value, change: changeOf(list.dataset.auto, { [list.name]: value(copy) }) };
  });
  const title = `Preview: ${list.labels[0].textContent}`;
  preview(null, { title, choices, save: ({ option }) => {
    list.value = option;
    list.dispatchEvent(new Event("change", { bubbles: true }));
    list.focus();
  } });
}

function previewTexts(form) {
  const changed = texts(form).filter(isDirty);
  const title = `Preview: ${changed.map((control) => control.labels[0].textContent).join(", ")}`;
  preview(changeOf(form.dataset.form, collect(changed)), { title, save: () => form.requestSubmit() });
}

// ---- after what saves itself: how many phones get other files, and a way back

document.addEventListener("autosaved", async ({ detail }) => {
  const { id, name, label, former, resource, etag } = detail;
  const back = changeOf(resource, { [name]: former });
  if (!back) return;
  const asked = { ...back, reversed: true };
  const { data } = await call("POST", "/previews", asked).catch(() => ({ data: null })); // it is saved all the same
  const field = document.getElementById(id)?.closest(".field");
  field?.querySelector(".note")?.remove();
  if (!field || !data || !(data.changed + data.failed)) return;
  const note = element("p", "", { class: "note", role: "status" });
  const said = { type: "button", class: "plain", "aria-describedby": `${id}-label` };
  const show = element("button", "Show", said);
  const undo = element("button", "Undo", said);
  show.addEventListener("click", () => preview(asked, { title: label, done: true }));
  undo.addEventListener("click", () => undone(resource, { [name]: former }, etag, id), { once: true });
  field.append(note);
  // What is there before its text is told by screen readers.
  note.append(`${phones(data.changed + data.failed)} will get other files. `, show, undo);
});

async function undone(resource, values, etag, id) {
  try {
    await call("PATCH", resource, values, etag);
    toast("It is as it was before.");
  } catch (problem) {
    toast(problem.status === 412 ? "Not undone: somebody has changed something here meanwhile." : problem.message);
  }
  await refresh(id);
}
