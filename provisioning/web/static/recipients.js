// The list of emergency recipients: one is added or removed, and the whole list is sent.
import { call, toast } from "./api.js";
import { clear, show } from "./forms.js";
import { refresh } from "./parts.js";

const form = () => document.querySelector("form[data-recipients]");
const emails = () => JSON.parse(form().dataset.recipients);
const put = (list) => call("PUT", "/account/emergency-recipients", { emails: list }, form().dataset.etag);

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
    await put([...emails(), added]);
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
  try {
    await put(emails().filter((email) => email !== removed));
    toast(`${removed} is no longer told of emergency calls.`);
    await refresh("new-recipient");
  } catch (problem) {
    toast(problem.message);
  }
});
