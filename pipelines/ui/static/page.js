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
