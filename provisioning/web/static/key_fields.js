// The fields of a key, in whatever form they are: those of other types are there no more, so that they are
// neither sent nor asked for.
import { collect, show } from "./forms.js";

export function suit(form) {
  const type = form.elements.type.value;
  for (const field of form.querySelectorAll("[data-types]")) {
    const input = field.querySelector("input");
    const needless = field.dataset.optional.split(" ").includes(type);
    field.hidden = input.disabled = !field.dataset.types.split(" ").includes(type);
    input.required = !needless;
    field.querySelector("[data-unneeded]").hidden = !needless;
  }
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-key-type]")) suit(event.target.form);
});

// What the form says, with a target for every type.
export function keyOf(form) {
  return { target: {}, ...collect(form.elements) };
}

// A fault is told of `buttons[3].label` or `buttons[3].target.extension`; of all keys it can only be this one's.
export function showFaults(form, problem) {
  const errors = problem.errors.map(({ field, message }) => ({ field: field.replace(/^\w+\[\d+\]\.?(target\.)?/, ""), message }));
  return show(form, errors, problem.message);
}
