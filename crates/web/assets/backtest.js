// Follows a backtest: asks for its page again until there is a result. Without it the page has a link that does the same.
const progress = () => document.querySelector("[data-backtest-runs]");

const ask = async () => {
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html" } });
    if (response.ok) {
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      document.querySelector("main").replaceWith(page.querySelector("main"));
    }
  } catch {
    // The next try may find the server again.
  }
  if (progress()) setTimeout(ask, 500);
  else document.querySelector("h1").focus();
};
if (progress()) setTimeout(ask, 300);
