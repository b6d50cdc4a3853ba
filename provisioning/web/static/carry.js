// A key is carried to another slot: by pointer, by keyboard, or by pressing first Move and then the slot.
import { toast } from "./api.js";
import { again, drop, keyAt, same, slotOf } from "./layout.js";

const DRAG = 6; // pixels that a press may shake and still be a press
const EDGE = 48; // pixels from the top or bottom of the window
const SPEED = 12; // pixels for each picture that is drawn
let carried = null; // {key, slot, over}
let pressed = null; // {key, x, y, ghost}
let dropped = false;

const keys = () => [...document.querySelectorAll("#editor[data-editable] button.key")];
const inPicture = (target) => target.closest?.("#editor[data-editable] button.key");
const named = (key) => key.getAttribute("aria-label");

const live = document.createElement("p");
live.className = "hidden";
live.setAttribute("aria-live", "assertive");
document.body.append(live);
const say = (text) => (live.textContent = text);

export function pickUp(key) {
  if (document.getElementById("panel").ariaBusy === "true") return undefined;
  if (key.classList.contains("free")) return say(`${named(key)}. There is nothing to pick up.`);
  carried = { key, slot: slotOf(key), over: key };
  key.classList.add("carried");
  document.getElementById("editor").classList.add("carrying");
  key.focus();
  return say(`Picked up ${named(key)}. Arrows carry it, Space drops it, Escape puts it back.`);
}

function over(key) {
  if (key === carried.over) return;
  carried.over.classList.remove("over");
  carried.over = key ?? carried.key; // outside of the picture it goes back to its place
  if (!key) return;
  key.classList.add("over");
  say(`Over ${named(key)}.`);
}

function putDown() {
  const was = carried;
  carried = null;
  for (const key of keys()) key.classList.remove("carried", "over");
  document.getElementById("editor").classList.remove("carrying", "choosing");
  return was;
}

async function letGo(key) {
  const { slot, key: start } = putDown();
  const target = slotOf(key);
  if (same(slot, target)) return say(`${named(start)} stays where it was.`);
  try {
    await drop(slot, target);
    await again(target);
    say(`Dropped. ${named(keyAt(target) ?? key)}.`);
  } catch (problem) {
    if (problem.status !== 401) await again(slot);
    toast(problem.status === 412 ? "Somebody else has changed this template meanwhile. It is shown as it is now; nothing was moved." : problem.message);
  }
  return undefined;
}

// ---- keyboard. Tab stops once in all the keys, at the one that was there last; arrows go from key to key.

function stopAt(key) {
  for (const each of keys()) each.tabIndex = each === key ? 0 : -1;
}

document.addEventListener("focusin", (event) => {
  const key = inPicture(event.target);
  if (key) stopAt(key);
});

document.addEventListener("focusin", (event) => {
  if (carried && !pressed?.ghost && !event.target.closest("#editor")) back();
});

new MutationObserver(() => {
  if (carried && !carried.key.isConnected) putDown(); // another picture came meanwhile
  if (!keys().includes(document.activeElement)) stopAt(keys()[0]);
}).observe(document.getElementById("panel"), { childList: true });
stopAt(keys()[0]);

document.addEventListener("keydown", (event) => {
  const key = inPicture(event.target);
  if (!key) return;
  const next = event.key.startsWith("Arrow") ? neighbour(key, event.key) : null;
  if (next) {
    next.closest("details:not([open])")?.setAttribute("open", "");
    next.focus();
    if (carried) over(next);
  } else if (event.key === " ") carried ? letGo(key) : pickUp(key);
  else if (event.key === "Enter" && carried) letGo(key);
  else if (event.key === "Escape" && carried) back();
  else if (!event.key.startsWith("Arrow")) return;
  event.preventDefault();
});

// A button is pressed when Space comes up again.
document.addEventListener("keyup", (event) => {
  if (event.key === " " && inPicture(event.target)) event.preventDefault();
});

function back() {
  pressed?.ghost?.remove();
  pressed = null;
  const { key } = putDown();
  if (document.activeElement?.closest("#editor") || document.activeElement === document.body) key.focus();
  say(`${named(key)} stays where it was.`);
}

// Up and down go through all slots in their order, left and right to what is drawn there.
function neighbour(key, arrow) {
  // A closed module is walked past, but what is carried can be put into it.
  const all = keys().filter((one) => carried || one === key || one.checkVisibility());
  const at = all.indexOf(key);
  if (arrow === "ArrowUp") return all[at - 1];
  if (arrow === "ArrowDown") return all[at + 1];
  const middle = (one) => {
    const box = one.getBoundingClientRect();
    return { x: box.x + box.width / 2, y: box.y + box.height / 2, height: box.height };
  };
  const from = middle(key);
  const side = arrow === "ArrowRight" ? 1 : -1;
  const row = all.filter((one) => Math.abs(middle(one).y - from.y) < from.height / 2 && (middle(one).x - from.x) * side > 0);
  return row.sort((one, other) => Math.abs(middle(one).x - from.x) - Math.abs(middle(other).x - from.x))[0];
}

// ---- pointer. A finger scrolls the page; for it there is Move in the key's dialog.

document.addEventListener("pointerdown", (event) => {
  const key = inPicture(event.target);
  if (key && !carried && !event.button && event.pointerType !== "touch") pressed = { key, x: event.clientX, y: event.clientY };
});

document.addEventListener("pointermove", (event) => {
  if (!pressed) return;
  const [x, y] = [event.clientX - pressed.x, event.clientY - pressed.y];
  if (!pressed.ghost) {
    if (Math.hypot(x, y) < DRAG || pressed.key.classList.contains("free")) return;
    pickUp(pressed.key);
    if (!carried) return;
    pressed.ghost = ghost(pressed.key);
    requestAnimationFrame(scroll);
  }
  pressed.ghost.style.translate = `${x}px ${y}px`;
  pressed.at = [event.clientX, event.clientY];
  over(inPicture(document.elementFromPoint(...pressed.at) ?? document.body));
});

// At the edge of the window the page goes on by itself.
function scroll() {
  if (!pressed?.ghost) return;
  const [x, y] = pressed.at;
  const by = y < EDGE ? -SPEED : y > innerHeight - EDGE ? SPEED : 0;
  if (by) {
    scrollBy(0, by);
    over(inPicture(document.elementFromPoint(x, y) ?? document.body));
  }
  requestAnimationFrame(scroll);
}

function ghost(key) {
  const box = key.getBoundingClientRect();
  const made = key.cloneNode(true);
  made.removeAttribute("id");
  made.setAttribute("aria-hidden", "true");
  made.className = "key ghost";
  Object.assign(made.style, { left: `${box.x}px`, top: `${box.y}px`, width: `${box.width}px`, height: `${box.height}px` });
  document.body.append(made);
  return made;
}

document.addEventListener("pointerup", (event) => {
  const dragged = pressed?.ghost;
  pressed = null;
  if (!dragged) return;
  dragged.remove();
  const key = inPicture(document.elementFromPoint(event.clientX, event.clientY) ?? document.body);
  // A click that the browser makes of the same press is none.
  dropped = true;
  setTimeout(() => (dropped = false));
  key ? letGo(key) : back();
});

document.addEventListener("pointercancel", () => {
  if (pressed?.ghost) back();
  pressed = null;
});

// While a key is carried, a press on a slot drops it there.
document.addEventListener("click", (event) => {
  if (event.target.closest("#put-back")) return carried && back();
  if (dropped) return event.preventDefault();
  const key = inPicture(event.target);
  if (!carried || !key) return undefined;
  event.preventDefault();
  return letGo(key);
}, true);
