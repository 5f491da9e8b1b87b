// Buttons that copy a text of the page. Without scripts they stay hidden, and the text can be marked by hand.
for (const button of document.querySelectorAll("[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  const label = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const marked = document.createRange();
    marked.selectNodeContents(source);
    getSelection().removeAllRanges();
    getSelection().addRange(marked);
    let done = false;
    try {
      // Browsers give the clipboard to pages on HTTPS only; elsewhere the old way may work.
      if (navigator.clipboard) { await navigator.clipboard.writeText(source.textContent); done = true; }
      else { done = document.execCommand("copy"); }
    } catch { done = false; }
    button.textContent = done ? "Copied" : "Marked: press Ctrl-C";
    setTimeout(() => { button.textContent = label; }, 2500);
  });
}
