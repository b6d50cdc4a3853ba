// The list of emergency recipients: one is added or removed, and the whole list is sent.
import { call, toast } from "./api.js";
import { sure } from "./dialogs.js";
import { clear, show } from "./forms.js";
import { refresh } from "./parts.js";

const form = () => document.querySelector("form[data-recipients]");
const emails = () => JSON.parse(form().dataset.recipients);
const put = (list) => call("PUT", "/account/emergency-recipients", { emails: list }, form().dataset.etag);

// Somebody else's change of the list goes before ours: both hold.
async function change(edit) {
  try {
    await put(edit(emails()));
  } catch (problem) {
    if (problem.status !== 412 || !(await refresh())) throw problem;
    await put(edit(emails()));
  }
}

document.addEventListener("submit", async (event) => {
  if (!event.target.matches("form[data-recipients]")) return;
  event.preventDefault();
  const input = form().elements.email;
  const added = input.value.trim();
  clear(form());
  if (emails().some((email) => email.toLowerCase() === added.toLowerCase())) {
    show(form(), [{ field: "email", message: "is in the list already" }]);
    return;
  }
  try {
    await change((list) => [...list.filter((email) => email !== added), added]);
    form().reset();
    toast(`${added} is told of emergency calls.`);
    await refresh("new-recipient");
  } catch (problem) {
    show(form(), [{ field: "email", message: problem.errors?.[0]?.message ?? problem.message }]);
  }
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-recipient-remove]");
  if (!button) return;
  const removed = button.dataset.recipientRemove;
  if (!(await sure(`Remove ${removed}?`, "Nobody tells this address of emergency calls any more.", "Remove"))) return;
  try {
    await change((list) => list.filter((email) => email !== removed));
    toast(`${removed} is no longer told of emergency calls.`);
    await refresh("new-recipient");
  } catch (problem) {
    toast(problem.message);
  }
});
