// A test boot: what the API answers, in a copy of the page's template.
import { call } from "./api.js";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-test-boot]");
  if (!button || button.getAttribute("aria-disabled")) return;
  const problem = document.getElementById("test-boot-problem");
  const state = document.getElementById("test-boot-state");
  const place = document.getElementById("test-boot");
  button.setAttribute("aria-disabled", "true");
  problem.textContent = "";
  place.replaceChildren();
  state.className = "outcome";
  state.textContent = "The virtual phone is booting …";
  try {
    const { data } = await call("POST", button.dataset.testBoot);
    place.replaceChildren(shown(data));
    state.classList.add(data.came_up ? "success" : "denied");
    state.textContent = data.came_up ? "The phone would come up." : "The phone would not come up.";
  } catch (error) {
    state.textContent = "";
    problem.textContent = error.message;
  }
  button.removeAttribute("aria-disabled");
});

function shown(boot) {
  const template = document.getElementById("test-boot-template");
  const part = template.content.cloneNode(true);
  const at = (name) => part.querySelector(`[data-tell="${name}"]`);
  at("summary").textContent = `Firmware ${boot.firmware}, ${boot.steps.length} requests in ${Math.round(boot.milliseconds)} ms, asked at ${boot.server}.`;
  at("problems").append(...boot.problems.map((text) => made("li", text)));
  at("steps").append(...boot.steps.map(row));
  at("lines").append(...(boot.lines.length ? boot.lines.map((line) => made("li", said(line))) : [made("li", "None")]));
  at("clock").textContent = clock(boot.clock);
  at("url").textContent = boot.provisioning_url;
  if (at("face")) press(at("face"), boot.keys, JSON.parse(template.dataset.types));
  return part;
}

function made(tag, text, label) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (label) element.dataset.label = label;
  return element;
}

function row(step, index) {
  const line = document.createElement("tr");
  const request = made("td", `${step.method} ${step.file}`, "Request");
  request.className = "target";
  line.append(
    made("td", index + 1, "Step"),
    request,
    made("td", step.status || "none", "Status"),
    made("td", step.bytes, "Bytes"),
    made("td", `${step.milliseconds} ms`, "Time"),
    made("td", step.reason ? `${step.effect} (${step.reason})` : step.effect, "Made of it"),
  );
  return line;
}

function said(line) {
  const how = line.server ? `at ${line.server}` : "without a server";
  return `${line.extension} ${line.name}, ${how}${line.registers ? "" : ": cannot register"}`;
}

// A change is told by the phone's own clock, as it stands before it.
function clock(told) {
  if (!told) return "Not told";
  if (!told.next_change_at) return `UTC${offset(told.utc_offset)} all the year`;
  const change = new Date(Date.parse(told.next_change_at) + told.utc_offset * 1000).toISOString();
  return `UTC${offset(told.utc_offset)}, and UTC${offset(told.next_utc_offset)} from ${change.slice(0, 10)}, ${change.slice(11, 16)}`;
}

// `-05:00` for seconds
function offset(seconds) {
  const minutes = Math.abs(Math.round(seconds / 60));
  const two = (number) => String(number).padStart(2, "0");
  return `${seconds < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

// Puts the keys on the empty face; of the modules only what is used stays.
function press(face, keys, types) {
  for (const key of keys) {
    const place = face.querySelector(`[data-slot="${key.module}.${key.position}"]`);
    if (!place) continue;
    const what = [types[key.type] ?? key.type, key.value].filter(Boolean).join(" ");
    const words = made("span", key.label || what);
    words.className = "cut";
    place.classList.remove("free");
    place.querySelector(".words").replaceChildren(words);
    if (key.label) {
      const more = made("span", what);
      more.className = "cut small";
      place.querySelector(".words").append(more);
    }
  }
  for (const module of face.querySelectorAll(".module")) {
    const used = module.querySelectorAll(".key[data-slot]:not(.free)").length;
    module.querySelector("[data-used]").textContent = used;
    module.open = true;
    if (!used) module.remove();
    for (const page of module.querySelectorAll(".page")) if (!page.querySelector(".key[data-slot]:not(.free)")) page.remove();
  }
}
