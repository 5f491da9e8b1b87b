// Completions in the search field. The form works without it; this asks the server what may stand at the cursor.
const field = document.querySelector("[data-complete]");
if (field) {
  const list = document.createElement("ul");
  list.id = "q-options";
  list.className = "options";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "What may stand here");
  list.hidden = true;
  field.parentElement.append(list);
  field.setAttribute("role", "combobox");
  field.setAttribute("aria-autocomplete", "list");
  field.setAttribute("aria-controls", list.id);
  field.setAttribute("aria-expanded", "false");

  let offered = [];
  let chosen = -1;
  let asked = 0;
  let timer = 0;

  const close = () => {
    offered = [];
    chosen = -1;
    list.hidden = true;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  };
  const choose = (index) => {
    chosen = index;
    [...list.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === index)));
    if (index < 0) field.removeAttribute("aria-activedescendant");
    else {
      field.setAttribute("aria-activedescendant", list.children[index].id);
      list.children[index].scrollIntoView({ block: "nearest" });
    }
  };
  const take = (index) => {
    const { start, end, text } = offered[index];
    const rest = field.value.slice(end);
    // One space is enough between what is put in and what stands there.
    const put = text.endsWith(" ") && rest.startsWith(" ") ? text.slice(0, -1) : text;
    field.value = field.value.slice(0, start) + put + rest;
    const at = start + put.length;
    field.setSelectionRange(at, at);
    field.focus();
    close();
    ask();
  };
  const show = (completions) => {
    offered = completions;
    list.replaceChildren(...completions.map(({ text, help }, at) => {
      const item = document.createElement("li");
      item.id = `q-option-${at}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      const word = document.createElement("span");
      word.className = "mono";
      word.textContent = text;
      const meaning = document.createElement("span");
      meaning.className = "soft small";
      meaning.textContent = help;
      item.append(word, meaning);
      // Before the field loses the focus.
      item.addEventListener("pointerdown", (event) => { event.preventDefault(); take(at); });
      return item;
    }));
    chosen = -1;
    list.hidden = completions.length === 0;
    field.setAttribute("aria-expanded", String(completions.length > 0));
  };
  const ask = () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const number = ++asked;
      const query = new URLSearchParams({ q: field.value, at: field.selectionStart });
      try {
        const response = await fetch(`${field.dataset.complete}?${query}`);
        const answer = await response.json();
        // What was asked later counts, and nothing once the field was left.
        if (number === asked && document.activeElement === field) show(answer.completions);
      } catch {
        close();
      }
    }, 60);
  };
  field.addEventListener("input", ask);
  field.addEventListener("focus", () => { if (field.value === "") ask(); });
  field.addEventListener("blur", () => { asked += 1; close(); });
  field.addEventListener("keydown", (event) => {
    if (list.hidden) {
      if (event.key === "ArrowDown") { event.preventDefault(); ask(); }
      return;
    }
    const count = offered.length;
    if (event.key === "ArrowDown") { event.preventDefault(); choose((chosen + 1) % count); }
    else if (event.key === "ArrowUp") { event.preventDefault(); choose(chosen <= 0 ? count - 1 : chosen - 1); }
    else if (event.key === "Escape") { event.preventDefault(); close(); }
    else if (event.key === "Tab" && !event.shiftKey && chosen >= 0) { event.preventDefault(); take(chosen); }
    else if (event.key === "Enter" && chosen >= 0) { event.preventDefault(); take(chosen); }
  });
  for (const box of document.querySelectorAll("[data-submits]")) {
    box.addEventListener("change", () => box.form.requestSubmit());
  }
}
