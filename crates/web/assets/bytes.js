// A field of a decoded packet and its bytes light each other. Without scripts each field says where its bytes stand.
for (const pair of document.querySelectorAll("[data-pair]")) {
  const fields = [...pair.querySelectorAll("[data-from]")].map((field) => ({
    field, from: Number(field.dataset.from), to: Number(field.dataset.to),
  }));
  const bytes = [...pair.querySelectorAll("[data-at]")];
  const light = (one) => {
    for (const { field } of fields) field.classList.toggle("lit", field === one?.field);
    bytes.forEach((byte, at) => byte.classList.toggle("lit", one !== undefined && at >= one.from && at < one.to));
  };
  // The innermost field that holds what is pointed at.
  const smallest = (found) => found.sort((a, b) => (a.to - a.from) - (b.to - b.from))[0];
  const of = (target) => {
    const byte = target.closest?.("[data-at]");
    if (byte) {
      const at = Number(byte.dataset.at);
      return smallest(fields.filter(({ from, to }) => at >= from && at < to));
    }
    const field = target.closest?.("[data-from]");
    return fields.find((one) => one.field === field);
  };
  pair.addEventListener("pointerover", (event) => light(of(event.target)));
  pair.addEventListener("pointerleave", () => light(undefined));
  pair.addEventListener("focusin", (event) => light(of(event.target)));
  pair.addEventListener("focusout", () => light(undefined));
  for (const { field } of fields) field.tabIndex = 0;
}
