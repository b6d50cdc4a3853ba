// What a form holds as JSON, and where in it the API found fault. A name like `address.city` is nested.

const KINDS = {
  text: (text) => text,
  preset: (text) => text,
  null: (text) => text || null,
  // What is no number goes as it was typed, and the server says what is wrong with it.
  int: (text) => (text === "" ? null : /^\d+$/.test(text) ? Number(text) : text),
  words: (text) => (text.trim() ? text.trim().split(/[\s,]+/) : null),
  json: (text) => JSON.parse(text),
  lines: (text) => text.split(/[\n,;]+/).map((line) => line.trim()).filter(Boolean),
};

export function value(control) {
  if (control.type === "checkbox") return control.checked;
  const kind = control.dataset.kind || "text";
  if (kind === "bool") return control.value === "" ? null : control.value === "true";
  if (kind === "added") return [...JSON.parse(control.dataset.to), control.value.trim()];
  if (control.tagName === "SELECT" && control.value === "") return null;
  return KINDS[kind](kind === "lines" ? control.value : control.value.trim());
}

export function collect(controls) {
  const body = {};
  for (const control of controls) {
    if (!control.name || control.disabled) continue;
    const part = control.closest("fieldset[data-optional]");
    if (part && isEmpty(part)) {
      body[part.dataset.optional] = null;
      continue;
    }
    const path = control.name.split(".");
    const last = path.pop();
    path.reduce((part, name) => (part[name] ??= {}), body)[last] = value(control);
  }
  return body;
}

// A fieldset of which nothing is filled in, but for what is preset, stands for nothing.
function isEmpty(part) {
  return [...part.elements].every((control) => control.dataset.kind === "preset" || !control.value.trim());
}

export function show(container, errors, detail) {
  clear(container);
  let first = null;
  let rest = errors.length ? "" : (detail ?? "");
  for (const { field, message } of errors) {
    const place = find(container, field);
    if (!place?.dataset.problem) rest = `${rest} ${field ? `${field}: ` : ""}${message}`.trim();
    else {
      place.textContent = message;
      const control = container.querySelector(`[aria-describedby~="${place.id}"]`);
      control?.setAttribute("aria-invalid", "true");
      first ??= control;
    }
  }
  const whole = container.querySelector('[data-problem=""]');
  if (whole) whole.textContent = rest;
  first?.closest("details:not([open])")?.setAttribute("open", "");
  first?.focus();
  return rest && !whole ? rest : "";
}

// The nearest field: a fault of `emails[1]` or `target.number` is shown at `emails` or `target`.
function find(container, field) {
  const places = [...container.querySelectorAll("[data-problem]")].filter((place) => place.dataset.problem);
  for (let name = field; name; name = name.replace(/(\.[^.[]*|\[\d+\])$|^[^.[]*$/, "")) {
    const place = places.find((candidate) => candidate.dataset.problem === name);
    if (place) return place;
  }
  return null;
}

export function clear(container) {
  for (const place of container.querySelectorAll("[data-problem]")) place.textContent = "";
  for (const control of container.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
}

export function isDirty(control) {
  return control.value !== control.defaultValue || control.validity.badInput;
}
