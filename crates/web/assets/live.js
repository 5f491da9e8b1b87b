// Live updates: the server sends finished HTML, this puts it in place. Pages work without it.
const fragment = (html) => {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
};

const status = document.querySelector("[data-live-status]");
if (status) {
  const source = new EventSource(status.dataset.liveStatus);
  source.addEventListener("status", (event) => {
    // Somebody reading with the keyboard keeps their place.
    if (status.contains(document.activeElement)) return;
    status.replaceChildren(fragment(event.data));
  });
}

const log = document.querySelector("[data-live-log]");
if (log) {
  const ROWS_MAX = 200;
  const body = log.querySelector("tbody");
  const bar = document.querySelector("[data-live-bar]");
  const button = bar.querySelector("[data-live-toggle]");
  const show = bar.querySelector("[data-live-show]");
  const note = bar.querySelector("[data-live-note]");
  let waiting = [];
  let missed = 0;
  let flowing = false;
  bar.hidden = false;

  const tell = () => {
    show.hidden = waiting.length === 0;
    show.textContent = `${waiting.length}${waiting.length === ROWS_MAX ? "+" : ""} new`;
    note.textContent = missed > 0 ? `${missed} missed: they came faster than this page could read. Reload to see them.` : "";
  };
  const put = (html) => {
    const row = fragment(html).firstElementChild;
    row.classList.add("fresh");
    body.prepend(row);
    while (body.rows.length > ROWS_MAX) body.deleteRow(-1);
    document.querySelector("[data-live-empty]")?.remove();
    log.hidden = false;
  };
  const flush = () => {
    for (const html of waiting) put(html);
    waiting = [];
    tell();
  };
  const source = new EventSource(log.dataset.liveLog);
  source.addEventListener("row", (event) => {
    if (flowing) return put(event.data);
    waiting.push(event.data);
    if (waiting.length > ROWS_MAX) waiting.shift();
    tell();
  });
  source.addEventListener("missed", (event) => { missed += Number(event.data); tell(); });
  source.addEventListener("error", () => { note.textContent = "Connection lost; trying again."; });
  source.addEventListener("open", () => tell());
  show.addEventListener("click", flush);
  button.addEventListener("click", () => {
    flowing = !flowing;
    button.setAttribute("aria-pressed", String(flowing));
    button.textContent = flowing ? "Stop live" : "Show live";
    if (flowing) flush();
  });
}

// Ages go on while the page is open, by the server's clock.
const madeAt = Number(document.documentElement.dataset.now);
if (madeAt) {
  const openedAt = performance.now();
  const span = (seconds) => {
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 2 * 86400) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86400)} d`;
  };
  setInterval(() => {
    const now = madeAt + performance.now() - openedAt;
    for (const time of document.querySelectorAll("time.age")) {
      const seconds = Math.floor((now - Date.parse(time.dateTime)) / 1000);
      time.textContent = seconds < 1 ? "just now" : `${span(seconds)} ago`;
    }
  }, 5000);
}
