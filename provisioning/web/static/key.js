// The dialog of one key: its type, and the fields that the type has.
import { toast } from "./api.js";
import { pickUp } from "./carry.js";
import { clear, show } from "./forms.js";
import { keyOf, showFaults, suit } from "./key_fields.js";
import { again, buttonAt, keyAt, placed, put, slotOf } from "./layout.js";
import { changeOf, preview } from "./previews.js";

const dialog = () => document.getElementById("key");
const form = () => dialog().querySelector("form");
let slot;

export function open(key) {
  slot = slotOf(key);
  const button = buttonAt(slot);
  clear(form());
  form().reset();
  form().elements.type.value = button?.type ?? "blf";
  const texts = { label: button?.label ?? "" };
  for (const [name, value] of Object.entries(button?.target ?? {})) texts[`target.${name}`] = value ?? "";
  for (const control of form().querySelectorAll("input")) control.value = control.defaultValue = texts[control.name] ?? "";
  document.getElementById("key-title").textContent = key.getAttribute("aria-label").split(":")[0];
  document.getElementById("key-reason").textContent = key.dataset.reason ? `Does not fit: ${key.dataset.reason}` : "";
  for (const id of ["key-remove", "key-move"]) document.getElementById(id).hidden = !button;
  suit(form());
  dialog().showModal();
  form().elements.type.focus();
}

document.addEventListener("submit", (event) => {
  if (!dialog() || event.target !== form()) return;
  event.preventDefault();
  save(keyOf(form()));
});

document.addEventListener("click", (event) => {
  if (event.target.closest("#key-remove")) save(null);
  if (event.target.closest("#key-preview")) look();
  if (!event.target.closest("#key-move")) return;
  dialog().close();
  pickUp(keyAt(slot));
  document.getElementById("editor").classList.add("choosing");
});

function look() {
  const resource = `/button-templates/${document.getElementById("editor").dataset.template}`;
  const title = `Preview: ${document.getElementById("key-title").textContent}`;
  preview(changeOf(resource, { buttons: placed(slot, keyOf(form())) }), { title });
}

async function save(button) {
  if (form().hasAttribute("aria-busy")) return;
  form().setAttribute("aria-busy", "true");
  clear(form());
  try {
    await put(slot, button);
    dialog().close();
    toast(button ? "Key saved" : "Key removed");
    await again(slot);
  } catch (problem) {
    if (problem.status === 412) await overtaken();
    else showFaults(form(), problem);
  }
  form().removeAttribute("aria-busy");
}

// The picture behind the dialog is the newest; what was typed stays, and the next Save goes into that.
async function overtaken() {
  await again();
  const now = keyAt(slot)?.getAttribute("aria-label") ?? "";
  show(form(), [], `Somebody else has changed this template meanwhile. ${now && `As it is now: ${now}. `}Save again to put your key there.`);
}
