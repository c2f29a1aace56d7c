// What the page does in the browser beyond links and forms: nothing that it needs to be read.
"use strict";

// Filters apply as soon as they are chosen; without scripts their form has a button.
for (const form of document.querySelectorAll("form[data-live]")) {
  form.addEventListener("change", (event) => {
    if (event.target.matches("select")) form.requestSubmit();
  });
}

// "/" goes to the search field, as on other sites.
document.addEventListener("keydown", (event) => {
  const field = document.querySelector("input[type=search]");
  const typing = /^(input|select|textarea)$/i.test(document.activeElement?.tagName ?? "");
  if (event.key === "/" && field && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    field.focus();
  }
});

// A model's list is made when it is asked for; one after the other, so that the first is there soon.
const cards = [...document.querySelectorAll("[data-list]")];
const told = document.querySelector("#lists-told");
(async () => {
  for (const card of cards) card.querySelector(".waits").textContent = "Waiting";
  for (const [number, card] of cards.entries()) {
    const place = card.querySelector(".waits");
    place.textContent = "Loading the model …";
    card.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(card.dataset.list);
      const made = new DOMParser().parseFromString(await answer.text(), "text/html");
      place.replaceWith(...(answer.ok ? made.body : made.querySelector("main") ?? made.body).childNodes);
    } catch {
      place.textContent = "The page's server did not answer.";
    }
    card.removeAttribute("aria-busy");
    if (number === cards.length - 1) told.textContent = "All lists are there. “Published” is what readers of the tables get; “chosen later” is held out for the test.";
    markShared();
  }
})();

function markShared() {
  const rows = [...document.querySelectorAll(".lists [data-item]")];
  const counts = {};
  for (const row of rows) counts[row.dataset.item] = (counts[row.dataset.item] ?? 0) + 1;
  for (const row of rows) {
    const models = counts[row.dataset.item];
    const tag = row.querySelector(".shared");
    tag.hidden = models < 2;
    tag.textContent = `${models} models`;
  }
}

// The run in progress is renewed every two seconds, unless somebody pauses it or looks elsewhere.
const live = document.querySelector("[data-renew]");
const pause = document.querySelector("#pause");
if (live) {
  pause.hidden = false;
  pause.addEventListener("click", () => {
    const paused = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", paused);
    pause.textContent = paused ? "Go on" : "Pause";
  });
  setInterval(() => {
    const chosen = live.contains(document.activeElement) && document.activeElement.matches("a");
    if (!document.hidden && !chosen && pause.getAttribute("aria-pressed") !== "true") renew();
  }, 2000);
}

async function renew() {
  const place = live.querySelector(".log")?.scrollTop ?? 0;
  const inLog = document.activeElement?.matches(".log");
  const when = document.querySelector("#renewed");
  try {
    const answer = await fetch(live.dataset.renew);
    if (!answer.ok) throw new Error(answer.status);
    const made = new DOMParser().parseFromString(await answer.text(), "text/html");
    live.replaceChildren(...made.body.childNodes);
    when.textContent = `Renewed ${new Date().toLocaleTimeString()}`;
  } catch {
    when.textContent = "The page's server does not answer.";
    return;
  }
  const log = live.querySelector(".log");
  if (log) log.scrollTop = place;
  if (inLog) log?.focus({ preventScroll: true });
  const said = live.querySelector("[data-status]")?.textContent ?? "";
  const status = document.querySelector("#live-status");
  if (status.textContent !== said) status.textContent = said;  // spoken only when the state changes
}
