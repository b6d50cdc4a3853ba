// The template as the page holds it, and the two ways to change it: each says which version it changes.
import { call } from "./api.js";
import { refresh } from "./parts.js";

const editor = () => document.getElementById("editor");
export const slotOf = (key) => ({ module: Number(key.dataset.module), position: Number(key.dataset.position) });
export const same = (one, other) => one.module === other.module && one.position === other.position;
export const keyAt = ({ module, position }) => document.getElementById(`key-${module}-${position}`);
export const buttons = () => JSON.parse(editor().dataset.buttons);
export const buttonAt = (slot) => buttons().find((button) => same(button, slot));

const send = (method, path, body) => call(method, `/button-templates/${editor().dataset.template}${path}`, body, editor().dataset.etag);

// All buttons with this one in a slot; null empties it.
export const placed = (slot, button) => [...buttons().filter((each) => !same(each, slot)), ...(button ? [{ ...slot, ...button }] : [])];

// What stands in a slot from now on.
export const put = (slot, button) => replace(placed(slot, button));

const replace = (all) => send("PATCH", "", { buttons: all });

// A key goes to the place of another on the same unit, and those between shift by one slot (`move`). An empty
// slot just takes it. Keys of two units change places, since no row runs from one unit into the next.
export function drop(from, to) {
  if (buttonAt(to) && from.module === to.module) return send("POST", "/move", { module: from.module, from: from.position, to: to.position });
  const other = (slot) => (same(slot, from) ? to : same(slot, to) ? from : null);
  return replace(buttons().map((button) => ({ ...button, ...other(button) && slotFields(other(button)) })));
}

const slotFields = ({ module, position }) => ({ module, position });

export const again = (slot) => refresh(slot && `key-${slot.module}-${slot.position}`);
