// The editor of a button template: the picture of the phone, and the dialog of one key.
import "./carry.js";
import { open } from "./key.js";
import { load } from "./parts.js";

const inPicture = (target) => target.closest?.("#editor[data-editable] button.key");

document.addEventListener("click", (event) => {
  const key = inPicture(event.target);
  if (key && !event.defaultPrevented) open(key);
});

async function see(form, focus) {
  const url = `${location.pathname}?${new URLSearchParams(new FormData(form))}`;
  if (await load(url, { focus })) history.pushState(null, "", url);
  else form.reset(); // the picture is still that of before
}

document.addEventListener("change", (event) => {
  if (event.target.id === "model") see(event.target.form, "model");
});

document.addEventListener("submit", (event) => {
  if (event.target.id !== "compare-form") return;
  event.preventDefault();
  see(event.target, "compare-model");
});

document.addEventListener("saved", ({ target, detail }) => {
  document.getElementById("template-name").textContent = detail.name;
  document.getElementById("editor").dataset.etag = target.dataset.etag;
  document.title = [detail.name, ...document.title.split(" · ").slice(-1)].join(" · ");
});
