/* The list of events: filters act at once, rows come as one scrolls, arrow keys move from row to row. */
"use strict";

page.keys.push(["↓ ↑", "next and previous event"], ["Enter", "open the event"], ["/", "filters"]);

function submitFilters(form) {
  // An address that is sent to somebody has only what was chosen.
  for (const field of form.elements) if (field.name && field.value === "") field.disabled = true;
  if (form.elements.last?.value === "days") form.elements.last.disabled = true;
  else for (const name of ["from", "to"]) if (form.elements[name]) form.elements[name].disabled = true;
  form.requestSubmit();
}

document.addEventListener("change", (event) => {
  const form = event.target.closest?.("#filters");
  if (!form) return;
  if (event.target.name === "last" && event.target.value === "days") {
    for (const one of form.querySelectorAll(".days")) one.hidden = false;
    form.elements.from.focus();
    return;
  }
  submitFilters(form);
});

async function showMore(button) {
  if (button.disabled) return;
  button.disabled = true;
  try {
    const answer = await fetch(button.dataset.rows);
    if (answer.redirected) { location.reload(); return; } // the login has ended
    if (!answer.ok) throw new Error(await answer.text());
    const row = button.closest("tr"), hadFocus = document.activeElement === button, before = row.previousElementSibling;
    row.insertAdjacentHTML("beforebegin", await answer.text());
    row.remove();
    if (hadFocus) before?.nextElementSibling?.querySelector("a")?.focus();
    watchEnd();
  } catch (error) {
    button.disabled = false;
    button.textContent = "Show more";
    page.say(error.message || "The page does not answer.");
  }
}
const ending = new IntersectionObserver((found) => {
  for (const one of found) if (one.isIntersecting) showMore(one.target);
}, { rootMargin: "800px" });
function watchEnd() {
  ending.disconnect();
  const button = document.querySelector("tr.more button");
  if (button) ending.observe(button);
}
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("tr.more button");
  if (button) { showMore(button); return; }
  // A row is a large target for a finger; its link stays what the keyboard uses.
  const row = event.target.closest?.("tr.event");
  if (row && !event.target.closest("a") && !String(getSelection())) row.querySelector("a").click();
});
document.addEventListener("keydown", (event) => {
  if (page.isTyping(event)) return;
  if (event.key === "/") {
    event.preventDefault();
    document.querySelector("#filters select")?.focus();
    return;
  }
  const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
  if (!step) return;
  const links = [...document.querySelectorAll("tr.event .when a")];
  if (!links.length) return;
  const at = links.indexOf(document.activeElement.closest?.("tr")?.querySelector(".when a"));
  const next = links[at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + step, 0), links.length - 1)];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
  event.preventDefault();
});
// The table is made by a script of NiceGUI, after this one.
new MutationObserver((_, observer) => {
  if (document.querySelector("table.events")) { watchEnd(); observer.disconnect(); }
}).observe(document.documentElement, { childList: true, subtree: true });
