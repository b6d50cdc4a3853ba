// Filters above a list apply themselves; without script the button does it.
import { go } from "./parts.js";

const form = () => document.querySelector("form[data-filters]");
let timer;

function apply() {
  clearTimeout(timer);
  const query = new URLSearchParams();
  for (const [name, text] of new FormData(form())) if (text.trim()) query.append(name, text.trim());
  const focused = document.activeElement;
  go(`${new URL(form().action).pathname}?${query}`, { replace: true }).then(() => {
    // What was typed while the page was on its way stays where it was being typed.
    const field = focused?.id && document.getElementById(focused.id);
    if (field && field !== focused && focused.matches("input:not([type=checkbox])") && field.value !== focused.value) {
      field.value = focused.value;
      later();
    }
  });
}

function later() {
  clearTimeout(timer);
  timer = setTimeout(apply, 300);
}

document.addEventListener("input", (event) => {
  if (!event.target.form?.matches("[data-filters]") || !event.target.matches("input:not([type=checkbox])")) return;
  // While a year is being typed it is that of 2 AD first.
  if (event.target.type !== "date" || !/^0/.test(event.target.value)) later();
});

document.addEventListener("change", (event) => {
  if (event.target.form?.matches("[data-filters]") && event.target.matches("select")) apply();
  // Events are applied when the picker is closed: each tick would close it.
  if (event.target.matches(".picker input")) pressed();
});

let chosen = "";

document.addEventListener("toggle", (event) => {
  if (!event.target.matches?.(".picker")) return;
  const now = [...event.target.querySelectorAll(":checked")].map((box) => box.value).join();
  if (event.target.open) pressed();
  else if (now !== chosen) apply();
  chosen = now;
}, true);

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-filters]")) return;
  event.preventDefault();
  apply();
});

const boxes = (kind) => [...document.querySelectorAll(`[data-event-kind=${kind}]`)];

function pressed() {
  for (const button of document.querySelectorAll("[data-kinds]")) {
    button.setAttribute("aria-pressed", String(boxes(button.dataset.kinds).every((box) => box.checked)));
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-kinds]");
  if (button) {
    const all = boxes(button.dataset.kinds);
    const checked = !all.every((box) => box.checked);
    for (const box of all) box.checked = checked;
    pressed();
  }
  const picker = document.querySelector(".picker[open]");
  if (picker && !picker.contains(event.target)) picker.open = false;
});

document.addEventListener("keydown", (event) => {
  const picker = document.querySelector(".picker[open]");
  if (event.key !== "Escape" || !picker) return;
  picker.open = false;
  picker.querySelector("summary").focus();
});
